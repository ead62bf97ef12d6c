/** A clock that stands still until told otherwise, and statuses to start from. */

import { IKeepAlive, IResource, IStatus } from '../api';
import { IClock } from '../clock';
import { IStatusEvent, STATUS_SCHEMA, IEmission } from '../events';

export class FakeClock implements IClock {
  /** Let time pass on both clocks. */
  pass(seconds: number): void {
    this.mono += seconds * 1000;
    this.now += seconds * 1000;
  }

  monotonic(): number {
    return this.mono;
  }

  wall(): number {
    return this.now;
  }

  mono = 1_000_000;
  now = new Date(2026, 0, 15, 17, 0, 0).getTime();
}

export function status(changes: Partial<IStatus> = {}): IStatus {
  return {
    time: '2026-01-15T17:00:00.000+00:00',
    version: '0.1.0',
    dry_run: false,
    host: host(),
    kernels: [],
    terminals: [],
    keep_alives: [],
    next: null,
    health: { status: 'ok', problems: [] },
    policy: {
      kernel_timeout_minutes: 60,
      terminal_timeout_minutes: 60,
      host_timeout_minutes: 60,
      warning_minutes: 5,
      min_timeout_minutes: null,
      max_timeout_minutes: null,
      max_keep_alive_minutes: 1440,
      max_unattended_minutes: 1440
    },
    may: { write: true, stop: true, administer: true },
    last_stop: null,
    costs: null,
    ...changes
  };
}

export function host(changes: Partial<IStatus['host']> = {}): IStatus['host'] {
  return {
    verdict: 'idle',
    reason: 'idle for 18 min',
    evidence: {
      at: '2026-01-15T16:42:00.000+00:00',
      age_seconds: 1080,
      source: 'presence',
      detail: 'a person in the page'
    },
    stop_action: 'server',
    active: [],
    stops_in_seconds: 2520,
    stops_at: '2026-01-15T17:42:00.000+00:00',
    warning: null,
    ...changes
  };
}

export function kernel(changes: Partial<IResource> = {}): IResource {
  return {
    id: 'abc',
    label: 'train.ipynb',
    verdict: 'idle',
    reason: 'idle',
    evidence: {
      at: '2026-01-15T16:42:00.000+00:00',
      age_seconds: 1080,
      source: 'kernels',
      detail: 'a cell ended'
    },
    culled_in_seconds: 2520,
    culled_at: '2026-01-15T17:42:00.000+00:00',
    facts: { display_name: 'Python 3' },
    ...changes
  };
}

export function keepAlive(changes: Partial<IKeepAlive> = {}): IKeepAlive {
  return {
    id: 'k1',
    owner: '',
    reason: '',
    resource: null,
    ends_in_seconds: 1800,
    ends_at: '2026-01-15T17:30:00.000+00:00',
    mine: true,
    ...changes
  };
}

export function statusEvent(
  changes: Partial<IStatusEvent> = {}
): IStatusEvent & IEmission {
  return {
    schema_id: STATUS_SCHEMA,
    time: '2026-01-15T17:00:00.000+00:00',
    dry_run: false,
    host: {
      verdict: 'idle',
      stop_action: 'server',
      stops_in_seconds: 2520,
      stops_at: '2026-01-15T17:42:00.000+00:00'
    },
    next: null,
    warning: null,
    health: 'ok',
    kernels: { active: 0, idle: 0, unknown: 0 },
    terminals: { active: 0, idle: 0, unknown: 0 },
    keep_alives: 0,
    ...changes
  };
}
