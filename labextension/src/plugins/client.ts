import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { Api } from '../api';
import { Client } from '../client';
import { browserClock } from '../clock';
import { openDocuments, resourceInFront } from '../documents';
import { Model } from '../model';
import { newPageId, PagePresence } from '../page';
import { Preferences } from '../preferences';
import { StopWatcher } from '../stop';
import { IIdleCuller } from '../tokens';
import { Wishes } from '../wishes';

/** The state that all others show: one request at the start, then events. */
export const clientPlugin: JupyterFrontEndPlugin<IIdleCuller> = {
  id: 'jupyter_idle_culler:client',
  description: 'Knows how the idle culler of the server stands.',
  autoStart: true,
  provides: IIdleCuller,
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null
  ): IIdleCuller => {
    const trans = (translator ?? nullTranslator).load('jupyter_idle_culler');
    const { serviceManager, shell } = app;
    const api = new Api(serviceManager.serverSettings);
    const model = new Model(browserClock);
    const client = new Client(model, api, browserClock, {
      emitted: serviceManager.events.stream,
      failed: serviceManager.connectionFailure
    });
    const page = newPageId();
    const stop = new StopWatcher(
      client,
      page,
      () => openDocuments(shell),
      browserClock
    );
    const wishes = new Wishes(
      client,
      stop,
      serviceManager,
      () => resourceInFront(shell),
      trans
    );
    new PagePresence(client, page);
    void app.started.then(() => client.refresh());
    return { client, preferences: new Preferences(), stop, wishes };
  }
};
