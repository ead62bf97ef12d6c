/** What the plugins share, and what other extensions may use. */

import { Token } from '@lumino/coreutils';

import { Client } from './client';
import { Preferences } from './preferences';
import { StopWatcher } from './stop';
import { Wishes } from './wishes';

/** The running widget: its model, its line to the server, and what a person may wish. */
export interface IIdleCuller {
  readonly client: Client;
  readonly preferences: Preferences;
  readonly stop: StopWatcher;
  readonly wishes: Wishes;
}

export const IIdleCuller = new Token<IIdleCuller>(
  'jupyter_idle_culler:IIdleCuller',
  'The state of the idle culler, and the wishes that a person may have about it.'
);

/** The commands, for the palette, menus and other extensions. */
export namespace CommandIDs {
  export const show = 'idle-culler:show';
  export const keepWorking = 'idle-culler:keep-working';
  export const keepAwake = 'idle-culler:keep-awake';
  export const cancel = 'idle-culler:cancel-keep-awake';
  export const stopNow = 'idle-culler:stop-now';
}
