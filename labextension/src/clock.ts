/** The page's two clocks: one to count with, one for people to read. */

export interface IClock {
  /** Milliseconds that never jump with the wall clock. */
  monotonic(): number;
  /** Milliseconds since 1970, as the wall clock has it. */
  wall(): number;
}

/** The browser's clocks. */
export const browserClock: IClock = {
  monotonic: () => performance.now(),
  wall: () => Date.now()
};

/** So far may both clocks drift apart between two looks before the machine must have slept. */
const JUMP_MS = 5000;

/**
 * Notices that the machine slept: on some systems the monotonic clock stands still meanwhile, so
 * the countdown would be late.
 */
export class JumpDetector {
  constructor(private readonly _clock: IClock) {
    this._offset = this._difference();
  }

  /** Tell whether the clocks drifted apart since the last call. */
  jumped(): boolean {
    const offset = this._difference();
    const jumped = Math.abs(offset - this._offset) > JUMP_MS;
    this._offset = offset;
    return jumped;
  }

  private _difference(): number {
    return this._clock.wall() - this._clock.monotonic();
  }

  private _offset: number;
}
