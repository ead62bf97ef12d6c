import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { IFormRendererRegistry } from '@jupyterlab/ui-components';

import { boundedField } from '../boundedfield';
import { ON_SERVER } from '../serversettings';
import { SettingsLink } from '../settings';
import { IIdleCuller } from '../tokens';

const ID = 'jupyter_idle_culler:settings';

/** A person's own settings, within the administrator's bounds. */
export const settingsPlugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Follows the settings of the idle culler.',
  autoStart: true,
  requires: [IIdleCuller],
  optional: [ISettingRegistry, IFormRendererRegistry, ITranslator],
  activate: (
    _: JupyterFrontEnd,
    { client, preferences }: IIdleCuller,
    registry: ISettingRegistry | null,
    forms: IFormRendererRegistry | null,
    translator: ITranslator | null
  ) => {
    if (registry === null) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('jupyter_idle_culler');
    const link = new SettingsLink(registry, ID, client, preferences, trans);
    for (const [name, onServer] of Object.entries(ON_SERVER)) {
      forms?.addRenderer(`${ID}.${name}`, {
        fieldRenderer: boundedField(onServer, link, trans)
      });
    }
    link.load().catch(error => {
      console.warn('The settings of the idle culler cannot be read:', error);
    });
  }
};
