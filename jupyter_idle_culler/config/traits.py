"""The traits of `c.IdleCuller`: names, defaults, ranges, and the help that people read.

What follows from them is in `idle_culler`; what they may not be together is in `checks`.
"""

from __future__ import annotations

from traitlets import Bool, Enum, HasTraits, Unicode, Union

from ..sources.commands import DEFAULT_INTERACTIVE, DEFAULT_VIEWERS
from ..sources.recognition import DEFAULT_IGNORED_PROCESSES
from .quantities import Bytes, Minutes, Percent, Price, Rate, Seconds, Texts

STOP_ACTIONS = ("auto", "none", "server", "notebook-instance", "studio-app", "command")


class ConfigurationTraits(HasTraits):
    """Every trait that `c.IdleCuller` has."""

    timeout_minutes = Minutes(
        120.0,
        help="""Idle minutes until culling, for kernels, terminals and the host alike; 0: never.

        From 0 to ten years. Idle means: no work and no person seen. One timeout for all three
        does not add up: the host's clock starts at the newest evidence anywhere, so the last
        kernel goes and the host stops at the same moment. Where this is not configured, the
        environment variable TIMEOUT_IN_MINS gives it. Example: 60""",
    )
    kernel_timeout_minutes = Minutes(
        None,
        help="""Idle minutes until a kernel is culled; 0: never; unset: as timeout_minutes.

        A kernelspec's metadata.cull_idle_timeout (seconds, 0: never) wins over it. Example: 30""",
    )
    terminal_timeout_minutes = Minutes(
        None,
        help="""Idle minutes until a terminal is culled; 0: never; unset: as timeout_minutes.

        A job in the foreground is work, even when silent; a prompt, a viewer or an editor left
        open is not. Example: 240""",
    )
    host_timeout_minutes = Minutes(
        None,
        help="""Idle minutes until the host stops; 0: never; unset: as timeout_minutes.

        What the host is, and whether it is stopped at all, says stop_action. Example: 180""",
    )
    min_timeout_minutes = Minutes(
        None,
        help="""The least that a user may choose as a timeout, in minutes; 0 or unset: no bound.

        The timeouts of this configuration must keep it too. Example: 15""",
    )
    max_timeout_minutes = Minutes(
        None,
        help="""The most that a user may choose as a timeout, in minutes; 0: no bound.

        Unset: a user may not choose more than the timeout that this configuration or
        TIMEOUT_IN_MINS gives; where neither does, there is no bound. A user's 0 (never) counts as
        infinite. The timeouts of this configuration must keep the bound too. Example: 480""",
    )
    warning_minutes = Minutes(
        5.0,
        help="""How many minutes a warning stands before the host stops.

        At most half the host's timeout counts. The host is never stopped without one, unless
        this is 0. Evidence of work or of a person takes it back. Example: 10""",
    )
    startup_grace_minutes = Minutes(
        10.0,
        help="""No host stop within so many minutes after the server started; 0: no grace.

        At most half the host's timeout counts. Example: 15""",
    )
    max_keep_alive_minutes = Minutes(
        1440.0,
        help="""The longest keep-alive that a user may ask for, in minutes; 0: none.

        A keep-alive makes the host, or one kernel or terminal, count as active until it ends.
        Example: 480""",
    )
    max_unattended_minutes = Minutes(
        1440.0,
        help="""How many minutes signs of life alone may hold the host; 0: no cap.

        Heartbeat files, activity reported by scripts, traffic of proxied apps and renewed
        keep-alives are such signs. Any work or person seen starts the count anew. Example: 720""",
    )
    ignore_connections = Bool(
        True,
        help="""Whether an open notebook or console leaves its kernel's idleness as it is.

        False: a kernel with a connected client is kept, however idle; a browser tab left open
        then keeps it for ever.""",
    ).tag(config=True)
    cull_terminals = Bool(
        True,
        help="""Whether idle terminals are culled. False: they stay until the host stops.

        An idle terminal does not hold the host either way.""",
    ).tag(config=True)
    max_quiet_minutes = Minutes(
        0.0,
        help="""End the benefit of the doubt for a busy cell or foreground job; 0: never.

        A cell or job that neither computes nor transfers nor prints may be waiting for something
        elsewhere. So many minutes after the last real work it no longer counts. Example: 720""",
    )
    check_interval_seconds = Seconds(
        60.0,
        low=0.05,
        help="""The longest pause between two looks at what is going on, in seconds.

        From 0.05 to 3600; shorter by itself when a deadline is nearer. Example: 30""",
    )
    cpu_threshold_percent = Percent(
        5.0,
        help="""Percent of one core from which a process counts as working. Above 0; example: 10

        Measured between two looks, the process's reaped children included.""",
    )
    tree_cpu_threshold_percent = Percent(
        50.0,
        help="""Percent of one core from which the processes of one tree count as working together.

        For many that each stay below cpu_threshold_percent. Above 0; example: 100""",
    )
    io_threshold_bytes_per_second = Rate(
        1024.0 * 1024.0,
        help="""Bytes a second, read and written, from which a process counts as working.

        From 1; what is received from sockets is not part of what Linux counts here.
        Example: 65536""",
    )
    gpu_threshold_percent = Percent(
        1.0,
        help="""Percent of a GPU from which it counts as working. Above 0; example: 5

        For each process where the driver tells them apart, else for the whole GPU. GPUs are
        looked at when all else seems idle, and where nvidia-ml-py is installed
        (jupyter_idle_culler[gpu]). Memory that is only held is no work.""",
    )
    viewer_commands = Texts(
        DEFAULT_VIEWERS,
        help="""Programs that only watch: left open in a terminal they are no work.

        A list; an entry is a program's name, or a name and the options that must be there
        ("tail -f"). Neither their output nor their own CPU counts.
        Example: c.IdleCuller.viewer_commands.append("bmon")""",
    )
    interactive_commands = Texts(
        DEFAULT_INTERACTIVE,
        help="""REPLs and editors: at their own prompt they are no work, unless they compute.

        A list; entries as in viewer_commands. With a script or a statement to run, the ones known
        by default are work. Example: c.IdleCuller.interactive_commands.append("gap")""",
    )
    ignored_processes = Texts(
        DEFAULT_IGNORED_PROCESSES,
        help="""Processes that never count as work, whatever they do.

        A list of names as the kernel has them (at most 15 characters); * stands for any.
        Example: c.IdleCuller.ignored_processes.append("telemetry*")""",
    )
    heartbeat_files = Texts(
        (),
        help="""Files whose time of modification is evidence of work. A list of absolute paths.

        For jobs that nobody can see from here: touch one while they run. max_unattended_minutes
        limits what they alone can do. Example: ["~/.idle-culler-heartbeat"]""",
    )
    source_failure_grace_minutes = Minutes(
        30.0,
        help="""After how many minutes a failing auxiliary source is left out of the decision.

        Until then nothing is culled that it could speak for; 0: left out at once. Kernels,
        terminals and processes are never left out: see cull_on_unknown. Example: 60""",
    )
    cull_on_unknown = Bool(
        False,
        help="""Whether to cull what cannot be seen. True may end work that is running.

        False: what a failing sensor leaves in the dark is kept, and the health says degraded.""",
    ).tag(config=True)
    stop_action = Enum(
        STOP_ACTIONS,
        "auto",
        help="""What stopping the host means.

        none: nothing, only kernels and terminals go. server: this Jupyter server ends itself.
        command: stop_command is run. notebook-instance: the SageMaker notebook instance this runs
        on is stopped. studio-app: the Studio app (JupyterLab space, Unified Studio) is deleted;
        its storage stays. auto: whichever of these two this machine is, nothing on a plain machine
        or under JupyterHub. Where metadata_path does not show what is to be stopped, nothing is
        stopped, and the log and the health say so.""",
    ).tag(config=True)
    stop_command = Texts(
        (),
        help="""The program, and its arguments, that stops the host where stop_action is command.

        A list, never read by a shell. Example: ["sudo", "shutdown", "-h", "now"]""",
    )
    pre_stop_command = Texts(
        (),
        help="""A program, and its arguments, to run before any host stop.

        A list, never read by a shell. Where it fails or takes too long, the stop is put off.
        Example: ["/usr/local/bin/sync-home"]""",
    )
    pre_stop_timeout_seconds = Seconds(
        30.0,
        low=0.05,
        help="How many seconds pre_stop_command may take, from 0.05 to 3600. Example: 120",
    )
    pre_stop_failure = Enum(
        ("keep", "stop"),
        "keep",
        help="""What happens when pre_stop_command failed three times.

        keep: the host goes on, shown as unhealthy. stop: the host stops all the same.""",
    ).tag(config=True)
    take_over_builtin_culling = Bool(
        False,
        help="""Whether to switch off the culling that jupyter_server itself was configured to do.

        Its kernel culling, terminal culling and shutdown_no_activity_timeout end silent work.
        False: they stay on and are named in the log, in explain and in the health.""",
    ).tag(config=True)
    dry_run = Bool(
        False,
        help="Whether to decide, warn and record only. True: nothing is culled or stopped.",
    ).tag(config=True)
    metadata_path = Unicode(
        "/opt/ml/metadata/resource-metadata.json",
        help="""The file in which SageMaker describes this machine.

        It says what stop_action auto, notebook-instance and studio-app stop, and whether this is a
        space with SageMaker's own idle shutdown. Damaged, foreign or missing, this counts as a
        plain machine, and the log says so.""",
    ).tag(config=True)
    write_sagemaker_activity_file = Union(
        [Bool(), Enum(("auto",))],
        default_value="auto",
        help="""Whether to tell SageMaker's own idle shutdown of the evidence seen here.

        auto: in a Studio space, and where jupyter-activity-monitor-extension is installed. The
        file then is kept as fresh as the evidence, at most once a minute, and the pause between
        two looks is at most a minute. Not in a dry run.""",
    ).tag(config=True)
    sagemaker_activity_path = Unicode(
        "/tmp/.sagemaker-last-active-timestamp",  # noqa: S108 - SageMaker's own choice
        help="""The file that SageMaker's own idle shutdown reads.

        Never written through a symbolic link, nor over somebody else's file.""",
    ).tag(config=True)
    sign_of_life = Bool(
        False,
        help="""Whether to show from outside that this culler lives, and whether anything works.

        True: the notebook instance or Studio app gets the tag idle-culler:sign-of-life, at most
        every 15 minutes and when work begins or has ended. Scheduled stops then spare what works.
        The role needs sagemaker:AddTags on itself. Not in a dry run.""",
    ).tag(config=True)
    hourly_price = Price(
        None,
        help="""What this machine costs an hour, for figures shown to people; unset: no figures.

        Compute only: storage is billed on while a machine is stopped. Example: 1.408""",
    )
    record_presence_details = Bool(
        False,
        help="""Whether the journal names the user and the document a person was seen in.

        False: it says "presence" only.""",
    ).tag(config=True)
    journal_path = Unicode(
        help="""The file in which decisions and outcomes are recorded, one JSON object a line.

        Unset: one for each server, idle_culler/journal-*.jsonl in the Jupyter data directory.
        Example: /var/log/idle-culler.jsonl""",
    ).tag(config=True)
    journal_max_bytes = Bytes(
        5 * 1024 * 1024,
        low=4096,
        high=1024**3,
        help="""How large the journal grows before it is rotated, in bytes, from 4096 to 1 GiB.

        One older file is kept, so twice that is the most on disk. Example: 1048576""",
    )
