/** Brings the lab's settings to the preferences and to the server, and learns its bounds. */

import { Notification } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { TranslationBundle } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';

import { Settings } from './api';
import { Client, messageOf } from './client';
import { DEFAULTS, Preferences } from './preferences';
import {
  changedWishes,
  ServerWishes,
  unknownWishes,
  wishesOf
} from './serversettings';

/** Follows one person's settings for as long as the lab lives. */
export class SettingsLink {
  constructor(
    private readonly _registry: ISettingRegistry,
    private readonly _id: string,
    private readonly _client: Client,
    private readonly _preferences: Preferences,
    private readonly _trans: TranslationBundle
  ) {
    _client.connected.connect(this._onConnected, this);
  }

  /** Emitted when it is known anew what the server makes of the settings. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** What the server makes of the settings; null: not known yet. */
  get onServer(): Settings | null {
    return this._onServer;
  }

  /** Read the settings and follow them. Rejects where they cannot be read. */
  async load(): Promise<void> {
    const settings = await this._registry.load(this._id);
    this._read(settings);
    this._wishes = wishesOf(settings.composite);
    this._isLoaded = true;
    settings.changed.connect(changed => void this._onChanged(changed));
    if (this._client.model.connection === 'ok') {
      this._onConnected();
    }
  }

  private _read({ composite }: ISettingRegistry.ISettings): void {
    const flag = (name: keyof typeof DEFAULTS): boolean => {
      const value = composite[name];
      return typeof value === 'boolean' ? value : DEFAULTS[name];
    };
    this._preferences.set({
      showStatus: flag('showStatus'),
      showCosts: flag('showCosts'),
      desktopNotifications: flag('desktopNotifications')
    });
  }

  private async _onChanged(
    settings: ISettingRegistry.ISettings
  ): Promise<void> {
    this._read(settings);
    const wishes = wishesOf(settings.composite);
    const changed = changedWishes(this._wishes, wishes);
    this._wishes = wishes;
    if (changed !== null) {
      await this._send(changed);
    }
  }

  private _onConnected(): void {
    if (this._isLoaded) {
      void this._ask();
    }
  }

  /** Learn the bounds, and tell a server that was started anew what it does not know. */
  private async _ask(): Promise<void> {
    try {
      this._take(await this._client.api.settings());
    } catch {
      return; // without bounds the form says nothing of them
    }
    const unknown =
      this._onServer && unknownWishes(this._wishes, this._onServer);
    if (unknown && this._client.model.mayWrite) {
      await this._send(unknown);
    }
  }

  private async _send(changes: ServerWishes): Promise<void> {
    const { api, model } = this._client;
    if (model.connection !== 'ok') {
      return;
    }
    const refusals: string[] = [];
    for (const [name, value] of Object.entries(changes)) {
      try {
        this._take(await api.changeSettings({ [name]: value }));
      } catch (error) {
        refusals.push(messageOf(error)); // which is no reason to drop the others
      }
    }
    const message = refusals.join(' ');
    if (message !== '' && message !== this._preferences.refusal) {
      const said = this._trans.__('Idle culler settings: %1', message);
      Notification.error(said, { autoClose: 10_000 });
    }
    this._preferences.setRefusal(message);
    await this._client.refresh();
  }

  private _take(settings: Settings): void {
    this._onServer = settings;
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _onServer: Settings | null = null;
  private _wishes: ServerWishes = {};
  private _isLoaded = false;
}
