/** Tells the server that a person works at the page: at most once a minute, nothing of what. */

import { IDisposable } from '@lumino/disposable';

import { IClock } from './clock';

/** The least time between two reports. */
export const REPORT_EVERY_MS = 60_000;

/**
 * Lets one report through a minute, and the last interaction of a minute at its end.
 *
 * Pure but for the timer, which tests fake.
 */
export class PresenceThrottle implements IDisposable {
  constructor(
    private readonly _clock: IClock,
    private readonly _report: () => void,
    private readonly _isVisible: () => boolean
  ) {}

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Forget what has not been reported. */
  dispose(): void {
    this._isDisposed = true;
    window.clearTimeout(this._timer);
  }

  /** A person did something. */
  interacted(): void {
    if (this._isDisposed || this._timer !== 0 || !this._isVisible()) {
      return;
    }
    const wait = this._last + REPORT_EVERY_MS - this._clock.monotonic();
    if (wait <= 0) {
      this._send();
    } else {
      this._timer = window.setTimeout(() => {
        this._timer = 0;
        if (this._isVisible()) {
          this._send();
        }
      }, wait);
    }
  }

  /** Something else has just told the server that a person is here. */
  reported(): void {
    this._last = this._clock.monotonic();
  }

  private _send(): void {
    this.reported();
    this._report();
  }

  private _last = -Infinity;
  private _timer = 0;
  private _isDisposed = false;
}

/** Hears keys, input, pointers, wheels and touches; keeps nothing of them. */
export class InteractionListener implements IDisposable {
  constructor(
    private readonly _target: Document,
    private readonly _onInteraction: () => void
  ) {
    const options = { capture: true, passive: true };
    for (const [type, listener] of this._listeners) {
      _target.addEventListener(type, listener, options);
    }
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Stop listening. */
  dispose(): void {
    this._isDisposed = true;
    for (const [type, listener] of this._listeners) {
      this._target.removeEventListener(type, listener, { capture: true });
    }
  }

  /** Whatever a script made up is no person. */
  private readonly _act = (event: Event): void => {
    if (event.isTrusted) {
      this._onInteraction();
    }
  };

  /** A key that something lies on repeats by itself. */
  private readonly _key = (event: Event): void => {
    if (!(event as KeyboardEvent).repeat) {
      this._act(event);
    }
  };

  /** A browser also says that a pointer moved when the page moved below it. */
  private readonly _move = (event: Event): void => {
    const { screenX, screenY } = event as PointerEvent;
    const still = screenX === this._x && screenY === this._y;
    const first = this._x === null;
    this._x = screenX;
    this._y = screenY;
    if (!still && !first) {
      this._act(event);
    }
  };

  private readonly _listeners: readonly [string, (event: Event) => void][] = [
    ['keydown', this._key],
    ['input', this._act], // dictated, or put together by an input method
    ['pointerdown', this._act],
    ['pointermove', this._move],
    ['wheel', this._act],
    ['touchstart', this._act]
  ];
  private _x: number | null = null;
  private _y: number | null = null;
  private _isDisposed = false;
}
