import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { LastStopNotice } from '../laststop';
import { StoppedOverlay } from '../overlay';
import { IIdleCuller } from '../tokens';

/** Says plainly that it was stopped: over the page, and once more at the next start. */
export const stopPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_idle_culler:stop',
  description: 'Says when and why the server was stopped.',
  autoStart: true,
  requires: [IIdleCuller],
  optional: [ITranslator],
  activate: (
    _: JupyterFrontEnd,
    { client, stop }: IIdleCuller,
    translator: ITranslator | null
  ) => {
    const known = translator ?? nullTranslator;
    const trans = known.load('jupyter_idle_culler');
    new StoppedOverlay(client, stop, known, trans);
    new LastStopNotice(client, trans);
    stop.cameToNothing.connect((_, reason) => {
      Notification.info(trans.__('It was not stopped: %1', reason), {
        autoClose: 10_000
      });
    });
  }
};
