/** The one line that says how things stand: words first, then a look. */

import { TranslationBundle } from '@jupyterlab/translation';

import { IResource, IStatus } from './api';
import {
  clockTime,
  countdown,
  inWords,
  span,
  untilItReadsOtherwise
} from './format';
import { Model } from './model';

export type HeadlineKind =
  | 'starting'
  | 'absent'
  | 'forbidden'
  | 'unreachable'
  | 'stopping'
  | 'stopped'
  | 'warning'
  | 'attention'
  | 'kept'
  | 'active'
  | 'countdown'
  | 'next'
  | 'off'
  | 'quiet';

export interface IHeadline {
  kind: HeadlineKind;
  text: string;
  /** The longer form, with clock times. */
  title: string;
  /** What the text counts down from, now; null: it does not count. */
  seconds: number | null;
}

/** The machine, the server, … in the word that fits what a stop ends here. */
export function whatStops(
  stopAction: string,
  trans: TranslationBundle
): string {
  switch (stopAction) {
    case 'server':
      return trans.__('This server');
    case 'studio-app':
      return trans.__('This space');
    default:
      return trans.__('This instance');
  }
}

/** Return what is at work: one by its name, several as counts. */
export function atWork(status: IStatus, trans: TranslationBundle): string {
  const isActive = (resource: IResource) => resource.verdict === 'active';
  const kernels = status.kernels.filter(isActive);
  const terminals = status.terminals.filter(isActive);
  const known = new Set([...kernels, ...terminals].map(each => each.label));
  const others = status.host.active.filter(name => !known.has(name));
  if (kernels.length + terminals.length + others.length === 1) {
    return [...known, ...others][0];
  }
  const parts: string[] = [];
  if (kernels.length > 0) {
    parts.push(trans._n('%1 kernel', '%1 kernels', kernels.length));
  }
  if (terminals.length > 0) {
    parts.push(trans._n('%1 terminal', '%1 terminals', terminals.length));
  }
  if (others.length > 0) {
    parts.push(
      trans._n('%1 background job', '%1 background jobs', others.length)
    );
  }
  return parts.join(', ');
}

/** Return the host's longest keep-alive in seconds from the status on; null: none stands. */
export function hostKeptFor(status: IStatus): number | null {
  const ends = status.keep_alives
    .filter(kept => kept.resource === null)
    .map(kept => kept.ends_in_seconds);
  return ends.length === 0 ? null : Math.max(...ends);
}

/** The kernel or terminal that goes first, in seconds from the status on; null: none goes. */
function goesFirst(status: IStatus): [IResource, 'kernel' | 'terminal'] | null {
  const due = [
    ...status.kernels.map(each => [each, 'kernel'] as const),
    ...status.terminals.map(each => [each, 'terminal'] as const)
  ].filter(([each]) => each.culled_in_seconds !== null);
  due.sort(
    ([one], [other]) =>
      (one.culled_in_seconds ?? 0) - (other.culled_in_seconds ?? 0)
  );
  return due.length === 0 ? null : [due[0][0], due[0][1]];
}

function cullingIsOff({ policy, host }: IStatus): boolean {
  return (
    policy.kernel_timeout_minutes === null &&
    policy.terminal_timeout_minutes === null &&
    (policy.host_timeout_minutes === null || host.stop_action === 'none')
  );
}

function plain(
  kind: HeadlineKind,
  text: string,
  title: string,
  seconds: number | null = null
): IHeadline {
  return { kind, text, title, seconds };
}

/** Say how the page stands where there is no status to show; null: there is one. */
function withoutStatus(
  model: Model,
  trans: TranslationBundle
): IHeadline | null {
  if (model.stop !== null) {
    return model.stop.stage === 'stopped'
      ? plain(
          'stopped',
          trans.__('Stopped'),
          trans.__('Stopped by the idle culler')
        )
      : plain(
          'stopping',
          trans.__('Stopping now'),
          trans.__('Your documents are saved first')
        );
  }
  switch (model.connection) {
    case 'absent':
      return plain(
        'absent',
        trans.__('Idle culler off'),
        trans.__('The idle culler is not enabled on this server')
      );
    case 'forbidden':
      return plain(
        'forbidden',
        trans.__('Idle culler hidden'),
        trans.__('You may not see what the idle culler does on this server')
      );
    case 'unreachable':
      return plain(
        'unreachable',
        trans.__('Server does not answer'),
        trans.__('Nothing is known about a stop until the server answers again')
      );
    case 'starting':
    case 'waiting':
      return plain(
        'starting',
        trans.__('Idle culler …'),
        trans.__('The idle culler has not looked yet')
      );
    case 'ok':
      return null;
  }
}

/** Say when the host stops. */
function stopsSoon(
  model: Model,
  status: IStatus,
  seconds: number,
  trans: TranslationBundle
): IHeadline {
  const inStatus = status.host.stops_in_seconds ?? 0;
  const at = clockTime(model.moment(inStatus));
  const what = whatStops(status.host.stop_action, trans);
  const left = countdown(seconds, trans);
  const text = status.dry_run
    ? trans.__('Would stop in %1', left)
    : trans.__('Stops in %1', left);
  const title = status.dry_run
    ? trans.__('%1 would stop at %2 (dry run: nothing is changed)', what, at)
    : trans.__('%1 stops at %2 unless something runs', what, at);
  return plain(model.warned ? 'warning' : 'countdown', text, title, seconds);
}

/** Say in one line how things stand. */
export function headline(model: Model, trans: TranslationBundle): IHeadline {
  const bare = withoutStatus(model, trans);
  const status = model.status;
  if (bare !== null || status === null) {
    return (
      bare ?? plain('starting', trans.__('Idle culler …'), trans.__('Waiting'))
    );
  }
  const stopsIn = model.stopsIn;
  if (model.warned && stopsIn !== null) {
    return stopsSoon(model, status, stopsIn, trans);
  }
  if (status.health.status !== 'ok') {
    const problem = model.failedStop ?? status.health.problems[0];
    return plain(
      'attention',
      trans.__('Idle culler needs attention'),
      problem === undefined ? trans.__('Click for more') : problem.detail
    );
  }
  const kept = hostKeptFor(status);
  if (kept !== null && model.left(kept) > 0) {
    const until = clockTime(model.moment(kept));
    return plain(
      'kept',
      trans.__('Kept awake until %1', until),
      trans.__('A keep-alive ends at %1', until)
    );
  }
  const work = atWork(status, trans);
  if (work !== '') {
    return plain(
      'active',
      trans.__('Active: %1', work),
      trans.__('At work: %1', [...status.host.active].join(', ') || work)
    );
  }
  if (stopsIn !== null) {
    return stopsSoon(model, status, stopsIn, trans);
  }
  return whereTheHostStays(model, status, trans);
}

function whereTheHostStays(
  model: Model,
  status: IStatus,
  trans: TranslationBundle
): IHeadline {
  const first = goesFirst(status);
  if (first !== null) {
    const [resource, kind] = first;
    const seconds = model.left(resource.culled_in_seconds ?? 0);
    const left = countdown(seconds, trans);
    const at = clockTime(model.moment(resource.culled_in_seconds ?? 0));
    return plain(
      'next',
      kind === 'kernel'
        ? trans.__('Next kernel goes in %1', left)
        : trans.__('Next terminal goes in %1', left),
      trans.__('%1 is shut down at %2 unless it is used', resource.label, at),
      seconds
    );
  }
  if (cullingIsOff(status)) {
    return plain(
      'off',
      trans.__('Culling off'),
      trans.__('Nothing is stopped for being idle')
    );
  }
  return plain(
    'quiet',
    trans.__('Nothing to cull'),
    trans.__('No idle kernel or terminal is due to be shut down')
  );
}

/** Return milliseconds until the line reads otherwise by itself; null: it does not. */
export function untilNext({ seconds }: IHeadline): number | null {
  return seconds === null || seconds <= 0
    ? null
    : untilItReadsOtherwise(seconds);
}

/** Say what a warning says: how soon, since when, and (dry run) that nothing would happen. */
export function warningText(
  model: Model,
  status: IStatus,
  trans: TranslationBundle
): string {
  const what = whatStops(status.host.stop_action, trans);
  const left = inWords(model.stopsIn ?? 0, trans);
  const quiet = status.host.evidence.age_seconds + model.elapsed();
  const since = clockTime(model.moment(model.elapsed() - quiet));
  return status.dry_run
    ? trans.__(
        '%1 would stop in %2 (dry run: nothing is changed): nothing has run and nobody has worked since %3.',
        what,
        left,
        since
      )
    : trans.__(
        '%1 stops in %2, at %3: nothing has run and nobody has worked since %4.',
        what,
        left,
        clockTime(model.moment(status.host.stops_in_seconds ?? 0)),
        since
      );
}

/** Return how long ago something was, in words: `18 min ago`. */
export function ago(seconds: number, trans: TranslationBundle): string {
  return seconds < 5
    ? trans.__('just now')
    : trans.__('%1 ago', span(seconds, trans));
}
