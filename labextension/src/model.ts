/** What the page knows, and how long is left: pure, with a clock that can be handed in. */

import { ISignal, Signal } from '@lumino/signaling';

import {
  IExplanation,
  IObservation,
  IProblem,
  IResource,
  IStatus
} from './api';
import { IClock } from './clock';
import { ICounts, IStatusEvent } from './events';

/**
 * How the page stands to the server's extension.
 *
 * `absent`: not on this server (404). `forbidden`: this person may not look (403). `waiting`: it
 * has not looked yet (503). `unreachable`: the server does not answer.
 */
export type Connection =
  'starting' | 'ok' | 'absent' | 'forbidden' | 'waiting' | 'unreachable';

/** The stop of the host, from the decision on. */
export interface IStop {
  stage: 'saving' | 'stopping' | 'stopped';
  /** The page did not see it: it was due, and the server answers no more. */
  presumed: boolean;
  /** On the wall clock, in milliseconds. */
  at: number;
  /** null: a person asked for it. */
  idleSeconds: number | null;
  kernels: number;
  terminals: number;
  saved: number;
  /** What could not be saved, or is not saved yet. */
  failed: readonly string[];
}

/** Return the status as it is some seconds later, with nothing new. */
export function later(status: IStatus, seconds: number): IStatus {
  const left = <T extends number | null>(value: T): T =>
    (value === null ? null : Math.max(0, value - seconds)) as T;
  const aged = (resource: IResource): IResource => ({
    ...resource,
    culled_in_seconds: left(resource.culled_in_seconds),
    evidence: {
      ...resource.evidence,
      age_seconds: resource.evidence.age_seconds + seconds
    }
  });
  const { host } = status;
  return {
    ...status,
    host: {
      ...host,
      stops_in_seconds: left(host.stops_in_seconds),
      evidence: {
        ...host.evidence,
        age_seconds: host.evidence.age_seconds + seconds
      },
      warning: host.warning && {
        ...host.warning,
        ends_in_seconds: left(host.warning.ends_in_seconds)
      }
    },
    kernels: status.kernels.map(aged),
    terminals: status.terminals.map(aged),
    keep_alives: status.keep_alives.map(kept => ({
      ...kept,
      ends_in_seconds: left(kept.ends_in_seconds)
    })),
    next: status.next && {
      ...status.next,
      in_seconds: left(status.next.in_seconds)
    }
  };
}

function counts(resources: readonly IResource[]): ICounts {
  const count = (verdict: string) =>
    resources.filter(resource => resource.verdict === verdict).length;
  return {
    active: count('active'),
    idle: count('idle'),
    unknown: count('unknown')
  };
}

function differ(one: ICounts, other: ICounts): boolean {
  return (
    one.active !== other.active ||
    one.idle !== other.idle ||
    one.unknown !== other.unknown
  );
}

/** The state that every part of the widget shows. */
export class Model {
  constructor(private readonly _clock: IClock) {}

  /** Emitted when anything but the passing of time changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get connection(): Connection {
    return this._connection;
  }

  /** The last status, as it was when it came; null before the first. Count with `left`. */
  get status(): IStatus | null {
    return this._status;
  }

  /** The observations of the last explanation, as they were when it came. */
  get observations(): readonly IObservation[] {
    return this._observations;
  }

  /** What the last explanation said cannot be seen here. */
  get limitations(): readonly string[] {
    return this._limitations;
  }

  /** The stop of the host that is under way, or was seen; null: none. */
  get stop(): IStop | null {
    return this._stop;
  }

  /** What a wish of this page was refused for; empty: it was not. */
  get refusal(): string {
    return this._refusal;
  }

  /** Seconds until the host stops; null: it does not while things stay as they are. */
  get stopsIn(): number | null {
    const seconds = this._status?.host.stops_in_seconds ?? null;
    return seconds === null ? null : this.left(seconds);
  }

  /** Since when a stop is overdue, on the wall clock; null: none is. Machines that slept count. */
  get overdueSince(): Date | null {
    const seconds = this._status?.host.stops_in_seconds ?? null;
    if (seconds === null || this._status?.dry_run === true) {
      return null;
    }
    const due = this._wallAt + seconds * 1000;
    return this._clock.wall() >= due ? new Date(due) : null;
  }

  /** What is wrong with a stop of the host that is due and failed; null: none is. */
  get failedStop(): IProblem | null {
    const problems = this._status?.health.problems ?? [];
    const failed = problems.find(({ source }) => source === 'host');
    return this.stopsIn === 0 ? (failed ?? null) : null;
  }

  /** Whether a host warning stands; no longer once its stop has failed. */
  get warned(): boolean {
    return (
      this._connection === 'ok' &&
      this._stop === null &&
      this._status?.host.warning !== null &&
      this._status !== null &&
      this.failedStop === null
    );
  }

  get mayWrite(): boolean {
    return this._connection === 'ok' && this._status?.may.write === true;
  }

  get mayStop(): boolean {
    return (
      this._connection === 'ok' &&
      this._status?.may.stop === true &&
      this._status.host.stop_action !== 'none'
    );
  }

  /** Return how much is left now of what was left when the status came. Never negative. */
  left(seconds: number): number {
    return Math.max(0, seconds - this.elapsed());
  }

  /** Return when, on the wall clock, something is that was so many seconds away in the status. */
  moment(seconds: number): Date {
    return new Date(this._clock.wall() + (seconds - this.elapsed()) * 1000);
  }

  /** Return how many seconds ago the status came. */
  elapsed(): number {
    return Math.max(0, this._clock.monotonic() - this._at) / 1000;
  }

  /** Return how many seconds ago the explanation came. */
  explanationAge(): number {
    return Math.max(0, this._clock.monotonic() - this._explainedAt) / 1000;
  }

  /** Take a whole status, which was true at this instant of the monotonic clock. */
  setStatus(status: IStatus, at: number): void {
    this._status = status;
    this._at = at;
    this._wallAt = this._clock.wall() - (this._clock.monotonic() - at);
    this._connection = 'ok';
    this._changed.emit();
  }

  /** Take a status with what it rests on. */
  setExplanation(explanation: IExplanation, at: number): void {
    this._observations = explanation.observations;
    this._limitations = explanation.limitations;
    this._explainedAt = at;
    this.setStatus(explanation.status, at);
  }

  /**
   * Take what a status event says, now.
   *
   * @returns whether something changed that only the whole status tells.
   */
  applyEvent(event: IStatusEvent): boolean {
    if (this._status === null || this._connection !== 'ok') {
      return true;
    }
    const status = this._status;
    const more =
      event.host.verdict !== status.host.verdict ||
      event.dry_run !== status.dry_run ||
      event.health !== status.health.status ||
      event.keep_alives !== status.keep_alives.length ||
      event.host.stop_action !== status.host.stop_action ||
      (event.warning === null) !== (status.host.warning === null) ||
      (event.next === null) !== (status.next === null) ||
      event.next?.resource !== status.next?.resource ||
      differ(event.kernels, counts(status.kernels)) ||
      differ(event.terminals, counts(status.terminals));
    const moved = later(status, this.elapsed());
    this.setStatus(
      {
        ...moved,
        time: event.time,
        dry_run: event.dry_run,
        host: { ...moved.host, ...event.host, warning: event.warning },
        next: event.next
      },
      this._clock.monotonic()
    );
    return more;
  }

  /** The server gave no status. */
  setConnection(connection: Connection): void {
    if (connection !== this._connection) {
      this._connection = connection;
      this._changed.emit();
    }
  }

  /** A stop began, went on, or (null) did not come. */
  setStop(stop: IStop | null): void {
    this._stop = stop;
    this._changed.emit();
  }

  /** A wish was refused, or (empty) no longer matters. */
  setRefusal(refusal: string): void {
    if (refusal !== this._refusal) {
      this._refusal = refusal;
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _connection: Connection = 'starting';
  private _status: IStatus | null = null;
  private _observations: readonly IObservation[] = [];
  private _limitations: readonly string[] = [];
  private _at = 0;
  private _wallAt = 0;
  private _explainedAt = 0;
  private _stop: IStop | null = null;
  private _refusal = '';
}
