/** The plugins of the widget, one a feature: each works, or stays away, without the others. */

import { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { clientPlugin } from './plugins/client';
import { panelPlugin } from './plugins/panel';
import { presencePlugin } from './plugins/presence';
import { settingsPlugin } from './plugins/settings';
import { statusPlugin } from './plugins/status';
import { stopPlugin } from './plugins/stop';
import { warningsPlugin } from './plugins/warnings';

export { IIdleCuller } from './tokens';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  clientPlugin,
  panelPlugin,
  presencePlugin,
  settingsPlugin,
  statusPlugin,
  stopPlugin,
  warningsPlugin
];

export default plugins;
