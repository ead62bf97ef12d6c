import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IIdleCuller } from '../tokens';
import { Warnings } from '../warnings';

/** The warning before the stop, in every tab. */
export const warningsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_idle_culler:warnings',
  description: 'Warns before the server stops.',
  autoStart: true,
  requires: [IIdleCuller],
  optional: [ITranslator],
  activate: (
    _: JupyterFrontEnd,
    { client, preferences, wishes }: IIdleCuller,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('jupyter_idle_culler');
    new Warnings(client, preferences, wishes, trans);
  }
};
