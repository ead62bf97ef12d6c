/** Keeps the model true: asks when told to, never by the clock while the server answers. */

import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { Api, RequestError, UnreachableError } from './api';
import { IClock, JumpDetector } from './clock';
import {
  asDecisionEvent,
  asStatusEvent,
  IDecisionEvent,
  IEmission
} from './events';
import { Connection, Model } from './model';

/** What the client needs of JupyterLab's service manager, and tests give otherwise. */
export interface IServices {
  /** Every event of the server, of whatever schema. */
  readonly emitted: ISignal<unknown, IEmission>;
  /** One of the lab's own requests did not get through. */
  readonly failed: ISignal<unknown, unknown>;
}

/** While the server does not answer it is asked again after so many seconds, then at the last. */
const RETRY_SECONDS = [1, 2, 4, 8, 15, 30];
/** So long after a deadline passed in silence the server is asked once what became of it. */
const AFTER_DEADLINE_MS = 2500;

/** Return what a failed request for the status means. */
export function connectionAfter(error: unknown): Connection {
  if (error instanceof RequestError) {
    if (error.status === 404) {
      return 'absent';
    }
    if (error.status === 401 || error.status === 403) {
      return 'forbidden';
    }
    // A proxy in front of a server that is gone answers 502 to 504 as well, but not our words.
    if (error.status === 503 && error.reason !== null) {
      return 'waiting';
    }
  }
  return 'unreachable';
}

/** The page's line to the server's extension. */
export class Client implements IDisposable {
  constructor(
    readonly model: Model,
    readonly api: Api,
    private readonly _clock: IClock,
    private readonly _services: IServices
  ) {
    this._jumps = new JumpDetector(_clock);
    _services.emitted.connect(this._onEmission, this);
    _services.failed.connect(this._onFailure, this);
    document.addEventListener('visibilitychange', this._onVisibility);
    document.addEventListener('resume', this._onVisibility);
    window.addEventListener('online', this._onOnline);
    window.addEventListener('pageshow', this._onVisibility);
  }

  /** Emitted when the server answers for the first time, or again. */
  get connected(): ISignal<this, void> {
    return this._connected;
  }

  /** Emitted with every decision of the culler. */
  get decided(): ISignal<this, IDecisionEvent> {
    return this._decided;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Let everything go. */
  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._services.emitted.disconnect(this._onEmission, this);
    this._services.failed.disconnect(this._onFailure, this);
    document.removeEventListener('visibilitychange', this._onVisibility);
    document.removeEventListener('resume', this._onVisibility);
    window.removeEventListener('online', this._onOnline);
    window.removeEventListener('pageshow', this._onVisibility);
    window.clearTimeout(this._retry);
    window.clearTimeout(this._afterDeadline);
    Signal.clearData(this);
  }

  /** Whether somebody looks at the observations. */
  get isDetailed(): boolean {
    return this._detailed;
  }

  /** Ask for the observations too while somebody looks at them. */
  setDetailed(detailed: boolean): void {
    if (detailed !== this._detailed) {
      this._detailed = detailed;
      if (detailed) {
        void this.refresh();
      }
    }
  }

  /** Notice a machine that slept; called whenever something is drawn anyway. */
  noticeJump(): void {
    if (this._jumps.jumped()) {
      void this.refresh();
    }
  }

  /** Ask how everything stands. Calls while one is under way lead to one more after it. */
  refresh(): Promise<void> {
    if (this._isDisposed) {
      return Promise.resolve();
    }
    if (this._asking !== null) {
      this._askAgain = true;
      return this._asking;
    }
    window.clearTimeout(this._retry);
    this._asking = this._askUntilCurrent().finally(() => {
      this._asking = null;
    });
    return this._asking;
  }

  private async _askUntilCurrent(): Promise<void> {
    do {
      this._askAgain = false;
      await this._ask();
    } while (this._askAgain && !this._isDisposed);
  }

  private async _ask(): Promise<void> {
    const begun = this._clock.monotonic();
    // The answer was true at some instant between asking and hearing it.
    const middle = () => (begun + this._clock.monotonic()) / 2;
    const before = this.model.connection;
    try {
      if (this._detailed) {
        const explanation = await this.api.explain();
        this.model.setExplanation(explanation, middle());
      } else {
        const status = await this.api.status();
        this.model.setStatus(status, middle());
      }
    } catch (error) {
      this._onRefused(connectionAfter(error));
      return;
    }
    this._failures = 0;
    this._watchDeadline();
    if (before !== 'ok') {
      this._connected.emit();
    }
  }

  private _onRefused(connection: Connection): void {
    this.model.setConnection(connection);
    if (connection === 'unreachable' || connection === 'waiting') {
      const last = RETRY_SECONDS.length - 1;
      const seconds = RETRY_SECONDS[Math.min(this._failures, last)];
      this._failures += 1;
      window.clearTimeout(this._retry);
      this._retry = window.setTimeout(() => this._tryAgain(), seconds * 1000);
    }
  }

  private _tryAgain(): void {
    // A hidden page asks when it is looked at again.
    if (document.visibilityState === 'visible') {
      void this.refresh();
    }
  }

  /** Ask once when something fell due and no event told what became of it. */
  private _watchDeadline(): void {
    window.clearTimeout(this._afterDeadline);
    const seconds = this.model.status?.next?.in_seconds ?? 0;
    const wait = this.model.left(seconds) * 1000 + AFTER_DEADLINE_MS;
    if (seconds > 0 && wait < 2 ** 31) {
      // In a hidden page too: a warning that an event did not bring is for it as well.
      this._afterDeadline = window.setTimeout(() => void this.refresh(), wait);
    }
  }

  private _onEmission(_: unknown, emission: IEmission): void {
    const decision = asDecisionEvent(emission);
    if (decision !== null) {
      this._decided.emit(decision);
      return;
    }
    const event = asStatusEvent(emission);
    if (event === null) {
      return;
    }
    const more = this.model.applyEvent(event);
    this._watchDeadline();
    if (this._asking !== null) {
      this._askAgain = true;
    }
    if (more || this._detailed) {
      void this.refresh();
    }
  }

  /** One of the lab's own requests failed: look whether the server is still there. */
  private _onFailure(): void {
    const { connection } = this.model;
    if (connection !== 'absent' && connection !== 'forbidden') {
      void this.refresh();
    }
  }

  private readonly _onOnline = (): void => {
    void this.refresh();
  };

  private readonly _onVisibility = (): void => {
    const { connection } = this.model;
    if (
      document.visibilityState === 'visible' &&
      connection !== 'absent' &&
      connection !== 'starting'
    ) {
      void this.refresh();
    }
  };

  private readonly _jumps: JumpDetector;
  private readonly _connected = new Signal<this, void>(this);
  private readonly _decided = new Signal<this, IDecisionEvent>(this);
  private _asking: Promise<void> | null = null;
  private _askAgain = false;
  private _detailed = false;
  private _failures = 0;
  private _retry = 0;
  private _afterDeadline = 0;
  private _isDisposed = false;
}

/** Return what a failure says, for people. */
export function messageOf(error: unknown): string {
  if (error instanceof RequestError || error instanceof UnreachableError) {
    return error.message;
  }
  return String(error);
}
