"""The extension application: wiring, nothing else."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp

from ._version import __version__
from .actions.announce import Announcer
from .actions.base import ActionRunner, Outcome
from .actions.cull_kernel import CullKernel
from .actions.cull_terminal import CullTerminal
from .actions.pre_stop import PreStop
from .actions.run_command import RunCommand
from .actions.stop_server import StopServer
from .actor import Actor
from .api.handlers import routes
from .api.idle import idle_route
from .clock import AwakeClock
from .config.idle_culler import AWS_ACTIONS, IdleCuller, Settings, load_or_refuse
from .config.user_settings import load_user_settings
from .core.duration import duration
from .core.model import Action, Decision, Kind, ResourceId, Verdict
from .costs import Costs
from .culler import Culler, Looked
from .ended import EndedLately
from .events import Events
from .farewell import Farewell
from .journal.journal import Journal, default_path
from .journal.server_mark import ServerMark
from .last_stop import LastStops
from .metrics import Metrics
from .observer import Observer
from .other_cullers import find_other_cullers, take_over
from .pages import Pages
from .records import JournalRecords
from .sagemaker_activity import LEAST_SECONDS, ActivityFile, native_shutdown_runs
from .sagemaker_stop import SageMakerStop
from .service import CullerService
from .sign_of_life import SignOfLife
from .sources.contents import ContentsSource
from .sources.gpu import GpuSource
from .sources.heartbeat_files import HeartbeatFilesSource
from .sources.keep_alives import KeepAlives
from .sources.kernels import KernelsSource
from .sources.other_ttys import OtherTtysSource
from .sources.presence import PresenceSource
from .sources.processes import ProcessesSource
from .sources.proxied import ProxiedSource
from .sources.reported import ReportedSource
from .sources.sidecars import SidecarsSource
from .sources.terminals import TerminalsSource
from .sources.thresholds import Thresholds
from .status_view import StatusView
from .stopping import HostStop


class IdleCullerApp(ExtensionApp):
    """Puts the sources, the culler, the actions and the API together, and into the server."""

    name = "jupyter_idle_culler"
    load_other_extensions = True
    classes = [IdleCuller]  # noqa: RUF012 - a list, as JupyterApp declares it

    @property
    def _server(self) -> ServerApp:
        """The server that this extension is linked to (nothing here runs before it is)."""
        assert self.serverapp is not None  # noqa: S101 - tells the type checker, not users
        return self.serverapp

    def initialize_settings(self) -> None:
        """Build everything; a bad configuration ends the start of the server here."""
        self.configuration = load_or_refuse(self)
        chosen = self.configuration.settings()
        self._mark = ServerMark(
            chosen.user_settings_path.parent, self._server.root_dir, self._server.base_url
        )
        own = chosen.user_settings_path.with_name(f"settings-{self._mark}.json")
        self._build(replace(chosen, user_settings_path=own))
        self.settings["idle_culler"] = self.service

    def initialize_handlers(self) -> None:
        """Add the routes; start by hand where jupyter_server (before 2.16) has no hook for it."""
        self.handlers.extend(routes(""))
        self.handlers.extend(idle_route(self._server))
        if not hasattr(ExtensionApp, "_start_jupyter_server_extension"):
            self._server.io_loop.add_callback(self._start)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Begin to look, once every extension is loaded."""
        del serverapp
        await self._start()

    async def stop_extension(self) -> None:
        """Let go of everything; what failed to load has nothing to let go of."""
        if not hasattr(self, "service"):
            return
        await self._culler.stop()
        if self._sagemaker is not None:
            await self._sagemaker.close()
        await self._last_stops.close()
        if self._costs is not None:
            await self._costs.close()
        if self._activity_file is not None:
            await self._activity_file.close()
        if self._sign_of_life is not None:
            await self._sign_of_life.close()
        self._kernels.close()
        self._contents.close()
        self._events.close()
        await self._journal.append("end")
        await self._journal.close()
        self._mark.close()

    def _build(self, chosen: Settings) -> None:
        """Make every part, from the clock to the service."""
        server, web_settings = self._server, self._server.web_app.settings
        self._clock = clock = AwakeClock()
        self._journal = Journal(
            chosen.journal_path or default_path(Path(jupyter_data_dir()), str(self._mark)),
            chosen.journal_max_bytes,
            clock.now,
        )
        presence, reported = PresenceSource(clock.now), ReportedSource(clock.now)
        self._kernels = KernelsSource(
            web_settings, clock=clock.now, log=self.log, on_change=self._poke
        )
        self._terminals = TerminalsSource(
            web_settings,
            viewer_commands=chosen.viewer_commands,
            interactive_commands=chosen.interactive_commands,
            clock=clock.now,
        )
        self._contents = ContentsSource(web_settings, presence, clock.now)
        self._last_stops = LastStops(
            chosen.user_settings_path.with_name(f"last-stop-{self._mark}.json"), self.log
        )
        self._farewell = Farewell(
            Pages(clock.now, self.log),
            self._last_stops,
            EndedLately(),
            self._contents.expect_own_save,
            clock,
            chosen.stop_action,
        )
        price = chosen.hourly_price
        self._costs = None if price is None else Costs(price, clock, self._journal, self.log)
        keep_alives = KeepAlives(
            clock,
            lambda: chosen.max_keep_alive_seconds / 60,
            self.log,
            self._journal.path.with_name(f"keep-alives-{self._mark}.json"),
        )
        ends_machine = chosen.stop_action in ("command", *AWS_ACTIONS)
        marks = (f"JUPYTER_SERVER_URL={server.connection_url}", f"JPY_PARENT_PID={os.getpid()}")
        other_ttys = OtherTtysSource(whole_machine=ends_machine, marks=marks)
        processes = ProcessesSource(
            whole_machine=ends_machine,
            thresholds=Thresholds(
                chosen.cpu_threshold_percent,
                chosen.tree_cpu_threshold_percent,
                chosen.io_threshold_bytes_per_second,
            ),
            ignored_processes=chosen.ignored_processes,
            viewer_commands=chosen.viewer_commands,
            server_url=server.connection_url,
            own_sessions=self._own_sessions,
        )
        observer = Observer(
            finding=[self._kernels, self._terminals],
            others=[
                processes,
                presence,
                self._contents,
                other_ttys,
                ProxiedSource(web_settings),
                keep_alives,
                HeartbeatFilesSource([str(path) for path in chosen.heartbeat_files], self.log),
                reported,
            ],
            clock=clock.now,
            log=self.log,
            server_started_at=clock.now(),
            on_demand=[
                GpuSource(processes.owner_of, chosen.gpu_threshold_percent),
                SidecarsSource(),
            ],
        )
        self._events, self._metrics = Events(server.event_logger, clock), Metrics()
        self._metrics.sources(source.name for source in observer.sources)
        self._records = records = JournalRecords(
            self._journal,
            self._events,
            self._metrics,
            lambda: self._culler.policy,
            self.log,
        )
        runners: dict[Kind, ActionRunner] = {
            Kind.KERNEL: CullKernel(web_settings),
            Kind.TERMINAL: CullTerminal(web_settings),
        }
        self._sagemaker = SageMakerStop.for_settings(
            chosen, self.configuration.policy().host_timeout_seconds, self.log, self._poke
        )
        host_stop = self._host_stop(chosen, dict(runners))
        if host_stop is not None:
            runners[Kind.HOST] = host_stop
        actor = Actor(runners, clock.now, self._settled, self.log, chosen.dry_run)
        self._announcer = Announcer(
            lambda: web_settings.get("terminal_manager"), self.log, other_ttys.paths
        )
        self._activity_file = self._make_activity_file(chosen)
        self._sign_of_life = SignOfLife.for_settings(chosen, self.log, self._poke)
        interval = chosen.check_interval_seconds
        self._culler = Culler(
            observer,
            actor,
            self.configuration.policy(),
            clock,
            records,
            self.log,
            interval if self._activity_file is None else min(interval, LEAST_SECONDS),
            self._on_warning,
            self._on_look,
            self._on_stop,
        )
        self.service = CullerService(
            config=self.configuration,
            settings_in_force=chosen,
            culler=self._culler,
            journal=self._journal,
            view=StatusView(clock, observer, actor, chosen.stop_action, chosen.dry_run),
            keep_alives=keep_alives,
            presence=presence,
            reported=reported,
            farewell=self._farewell,
            records=records,
            exists=self._exists,
            log=self.log,
            host_stop=host_stop,
            costs=self._costs,
            preflight=None if self._sagemaker is None else self._sagemaker.preflight,
            activity_file=self._activity_file,
            sign_of_life=self._sign_of_life,
        )

    def _make_activity_file(self, chosen: Settings) -> ActivityFile | None:
        """Make what tells SageMaker's own idle shutdown of evidence, None where nobody listens."""
        wanted = chosen.write_sagemaker_activity_file
        if wanted is None:
            wanted = native_shutdown_runs(chosen.environment)
        if not wanted or chosen.dry_run:
            return None
        return ActivityFile(chosen.sagemaker_activity_path, self.log, self._poke)

    def _host_stop(self, chosen: Settings, runners: dict[Kind, ActionRunner]) -> HostStop | None:
        """Make what stops the host, None where nothing does."""
        if chosen.stop_action == "none":
            return None

        async def still_due(resource: ResourceId) -> bool:
            return await self._culler.still_due(resource)

        before = RunCommand(
            chosen.pre_stop_command, self.log, chosen.pre_stop_timeout_seconds, "pre_stop_command"
        )
        pre_stop = PreStop(before, chosen.pre_stop_failure) if chosen.pre_stop_command else None
        if chosen.stop_action == "command":
            stop = RunCommand(chosen.stop_command, self.log, name="stop_command")
            return HostStop(stop, still_due, self._farewell, pre_stop, commands=(before, stop))
        if self._sagemaker is not None:
            aws = self._sagemaker.action
            commands = (before, aws, self._sagemaker.preflight)
            return HostStop(aws, still_due, self._farewell, pre_stop, commands=commands)

        async def end_resources() -> None:
            looked = await self._culler.look()
            await asyncio.gather(
                *(
                    runners[resource.id.kind].apply(
                        Decision(
                            resource.id, Action.CULL, Verdict.IDLE, "the server stops", looked.at
                        )
                    )
                    for resource in looked.snapshot.resources
                ),
                return_exceptions=True,
            )

        return HostStop(
            StopServer(self._server),
            still_due,
            self._farewell,
            pre_stop,
            end_resources,
            commands=(before,),
        )

    async def _settled(self, decision: Decision, outcome: Outcome) -> None:
        self.service.settled(decision, outcome)
        await self._records.settled(decision, outcome)
        self._poke()

    def _own_sessions(self) -> frozenset[int]:
        host_stop = self.service.host_stop
        sign = self._sign_of_life.pid if self._sign_of_life is not None else None
        own = frozenset() if sign is None else frozenset({sign})
        return own if host_stop is None else own | host_stop.own_sessions()

    def _on_stop(self) -> None:
        self.service.stop_is_near()

    def _poke(self) -> None:
        self._culler.poke()

    async def _start(self) -> None:
        """Watch what can be watched only now, and start the loop."""
        chosen = self.service.settings_in_force
        await self.service.keep_alives.load()
        await self._last_stops.load()
        user = await asyncio.to_thread(load_user_settings, chosen.user_settings_path, self.log)
        self.service.user_settings = user
        self._culler.policy = self.configuration.policy(user)
        for notice in self.configuration.notices(user):
            self.log.warning("Idle culler: %s.", notice)
        self._kernels.start()
        self._contents.start()
        self._terminals.watch_input(self._server.web_app)
        if chosen.take_over_builtin_culling:
            for other in take_over(self._server):
                self.log.warning("Idle culler: switched off another culler: %s.", other)
        self.service.other_cullers = find_other_cullers(self._server)
        for other in self.service.other_cullers:
            self.log.warning("Idle culler: another culler is on: %s.", other)
        for sentence in self._culler.observer.limitations:
            self.log.info("Idle culler: %s", sentence)
        if self.configuration.environment_problem:
            self.log.warning("Idle culler: %s.", self.configuration.environment_problem)
        if self._costs is not None:
            self._costs.start()
        await self._journal.append(
            "start",
            version=__version__,
            stop_action=chosen.stop_action,
            dry_run=chosen.dry_run,
            environment=chosen.environment.place.value,
        )
        self._culler.start()
        if self._sagemaker is not None:
            self._sagemaker.preflight.start()

    def _exists(self, resource: ResourceId) -> bool:
        settings = self._server.web_app.settings
        if resource.kind is Kind.KERNEL:
            return resource.name in settings["kernel_manager"]
        return resource.name in getattr(settings.get("terminal_manager"), "terminals", ())

    def _on_look(self, looked: Looked) -> None:
        """Tell those who listen, the server's own shutdown and JupyterHub among them."""
        host = looked.decisions[-1]
        newest = self._clock.to_utc(host.evidence_at)
        if self._activity_file is not None:
            self._activity_file.note(host.evidence_at, newest)
        if self._sign_of_life is not None:
            self._sign_of_life.looked(host, looked.at, self._clock.utc_now())
        self._server.web_app.settings["idle_culler_last_activity"] = newest
        self.service.looked(looked)
        if self._sagemaker is not None:
            self._sagemaker.looked(looked.decisions[-1].deadline, looked.at)
        if self._costs is not None:
            self._costs.looked(looked)
        self._metrics.looked_for(self._culler.observer.last_look_seconds)
        self._metrics.keep_alives(len(self.service.keep_alives.standing()))
        self._events.status(self.service.status())

    async def _on_warning(self, decision: Decision) -> None:
        """Tell the terminals where no widget tells the person, or forget a warning taken back."""
        now = self._clock.now()
        if decision.action is Action.CANCEL_WARNING and self.service.host_stop is not None:
            self.service.host_stop.warning_cancelled()
        if decision.action is Action.WARN and self.service.presence.connected(now):
            return
        if decision.deadline is not None:
            left = duration(decision.deadline - now)
            quiet = duration(now - decision.evidence_at)
            text = f"This server stops in {left}: nothing has run and nobody has worked for {quiet}"
            decision = decision._replace(reason=text)
        await self._announcer.apply(decision)
