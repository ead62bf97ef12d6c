/** Draws again when what is drawn would read otherwise, and at once when the page is seen again. */

import { IDisposable } from '@lumino/disposable';

/** No pause is longer, so that a machine that slept is noticed. */
const LONGEST_MS = 60_000;
const SHORTEST_MS = 50;

/** Calls `draw` whenever its own answer (milliseconds; null: no time matters) has passed. */
export class Ticker implements IDisposable {
  constructor(private readonly _draw: () => number | null) {
    document.addEventListener('visibilitychange', this._wake);
    document.addEventListener('resume', this._wake);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Draw no more. */
  dispose(): void {
    this._isDisposed = true;
    window.clearTimeout(this._timer);
    document.removeEventListener('visibilitychange', this._wake);
    document.removeEventListener('resume', this._wake);
  }

  /** Draw now. */
  tick(): void {
    window.clearTimeout(this._timer);
    if (this._isDisposed) {
      return;
    }
    const wait = this._draw();
    if (wait !== null && document.visibilityState === 'visible') {
      const pause = Math.min(Math.max(wait, SHORTEST_MS), LONGEST_MS);
      this._timer = window.setTimeout(() => this.tick(), pause);
    }
  }

  private readonly _wake = (): void => {
    if (document.visibilityState === 'visible') {
      this.tick();
    }
  };

  private _timer = 0;
  private _isDisposed = false;
}
