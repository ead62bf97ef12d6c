import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { StatusItem } from '../statusitem';
import { CommandIDs, IIdleCuller } from '../tokens';

/** The far right of a top bar that others add to as well. */
const TOP_RANK = 10_000;
const STATUS_RANK = 100;

/** The countdown: in the status bar, or (Notebook 7) at the right end of the top bar. */
export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_idle_culler:status',
  description: 'Shows when the server stops, or why it does not.',
  autoStart: true,
  requires: [IIdleCuller],
  optional: [IStatusBar, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    { client, preferences }: IIdleCuller,
    statusBar: IStatusBar | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('jupyter_idle_culler');
    const item = new StatusItem(client, preferences, trans, () => {
      if (app.commands.hasCommand(CommandIDs.show)) {
        void app.commands.execute(CommandIDs.show);
      }
    });
    if (statusBar === null) {
      item.addClass('jp-mod-top');
      app.shell.add(item, 'top', { rank: TOP_RANK });
    } else {
      statusBar.registerStatusItem('jupyter_idle_culler:status', {
        item,
        align: 'right',
        rank: STATUS_RANK
      });
    }
  }
};
