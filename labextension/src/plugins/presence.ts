import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';

import { browserClock } from '../clock';
import { InteractionListener, PresenceThrottle } from '../presence';
import { IIdleCuller } from '../tokens';

/** Reports that a person works at the page: that, and the kernel in front, nothing else. */
export const presencePlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_idle_culler:presence',
  description: 'Tells the idle culler that a person works at the page.',
  autoStart: true,
  requires: [IIdleCuller],
  activate: (_: JupyterFrontEnd, { client, wishes }: IIdleCuller) => {
    const throttle = new PresenceThrottle(
      browserClock,
      () => {
        if (client.model.mayWrite) {
          // The server that does not answer is noticed by the lab itself.
          wishes.reportPresence().catch(() => undefined);
        }
      },
      () => document.visibilityState === 'visible'
    );
    new InteractionListener(document, () => throttle.interacted());
  }
};
