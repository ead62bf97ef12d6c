/** What a person wants to see: kept in the lab's settings, never on the server. */

import { ISignal, Signal } from '@lumino/signaling';

export interface IPreferences {
  readonly showStatus: boolean;
  readonly showCosts: boolean;
  readonly desktopNotifications: boolean;
}

export const DEFAULTS: IPreferences = {
  showStatus: true,
  showCosts: true,
  desktopNotifications: false
};

/** The preferences in force; the defaults until the settings are read, or where there are none. */
export class Preferences {
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get value(): IPreferences {
    return this._value;
  }

  /** Take new preferences. */
  set(value: IPreferences): void {
    this._value = value;
    this._changed.emit();
  }

  /** Why the server refused a setting; empty: it took them all. */
  get refusal(): string {
    return this._refusal;
  }

  /** Take why a setting was refused, or (empty) that none was. */
  setRefusal(refusal: string): void {
    if (refusal !== this._refusal) {
      this._refusal = refusal;
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _value = DEFAULTS;
  private _refusal = '';
}
