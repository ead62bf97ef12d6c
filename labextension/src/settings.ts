/** Brings the lab's settings to the preferences and to the server, and its bounds back. */

import { Notification } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { TranslationBundle } from '@jupyterlab/translation';

import { Settings } from './api';
import { Client, messageOf } from './client';
import { DEFAULTS, Preferences } from './preferences';
import {
  changedWishes,
  ServerWishes,
  unknownWishes,
  wishesOf,
  withBounds
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
    _registry.transform(_id, { fetch: plugin => this._transform(plugin) });
    _client.connected.connect(this._onConnected, this);
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

  /** Put the bounds into the help texts, however often the registry asks for it. */
  private _transform(
    plugin: ISettingRegistry.IPlugin
  ): ISettingRegistry.IPlugin {
    this._schema ??= plugin.schema;
    if (this._onServer === null) {
      return plugin;
    }
    const schema = withBounds(
      this._schema,
      this._onServer,
      this._wishes,
      this._trans
    );
    return { ...plugin, schema };
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
      await this._take(await this._client.api.settings());
    } catch {
      return; // without bounds the help texts say nothing of them
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
    try {
      const settings = await api.changeSettings(changes);
      this._preferences.setRefusal('');
      await this._take(settings);
    } catch (error) {
      const message = messageOf(error);
      this._preferences.setRefusal(message);
      Notification.error(this._trans.__('Idle culler settings: %1', message), {
        autoClose: 10_000
      });
      await this._registry.reload(this._id); // its help text says out of bounds
    }
    await this._client.refresh();
  }

  private async _take(settings: Settings): Promise<void> {
    this._onServer = settings;
    await this._registry.reload(this._id);
  }

  private _schema: ISettingRegistry.ISchema | null = null;
  private _onServer: Settings | null = null;
  private _wishes: ServerWishes = {};
  private _isLoaded = false;
}
