/** Tells once, at the next start, when and why it was stopped and what was shut down. */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { ILastStop } from './api';
import { Client } from './client';
import {
  factsOfLastStop,
  stoppedDetail,
  stoppedHeading,
  unsavedText
} from './stopped';

const TOLD_KEY = 'jupyter_idle_culler:last-stop';

/** Show all that is known of a stop. */
async function showLastStop(
  last: ILastStop,
  trans: TranslationBundle
): Promise<void> {
  const facts = factsOfLastStop(last);
  const lines = [
    stoppedDetail(facts, trans),
    unsavedText(facts, trans),
    last.kernels.length > 0
      ? trans.__('Kernels: %1', last.kernels.join(', '))
      : '',
    last.terminals.length > 0
      ? trans.__('Terminals: %1', last.terminals.join(', '))
      : '',
    last.reason,
    last.evidence === '' ? '' : trans.__('Last evidence: %1', last.evidence)
  ];
  const node = document.createElement('div');
  for (const line of lines.filter(text => text !== '')) {
    node.appendChild(document.createElement('p')).textContent = line;
  }
  await showDialog({
    title: stoppedHeading(facts, trans),
    body: new Widget({ node }),
    buttons: [Dialog.okButton({ label: trans.__('Close') })]
  });
}

/** Tells of a stop when the server first answers, or when the page is first looked at. */
export class LastStopNotice {
  constructor(
    private readonly _client: Client,
    private readonly _trans: TranslationBundle
  ) {
    _client.connected.connect(this._tell, this);
    document.addEventListener('visibilitychange', () => this._tell());
  }

  private _tell(): void {
    const { api, model } = this._client;
    const last = model.status?.last_stop ?? null;
    if (
      last === null ||
      document.visibilityState !== 'visible' ||
      model.connection !== 'ok' ||
      this._wasTold(last.at)
    ) {
      return;
    }
    const trans = this._trans;
    const facts = factsOfLastStop(last);
    const heading = stoppedHeading(facts, trans);
    // The lab cuts longer ones at 140 characters.
    Notification.info(`${heading} ${stoppedDetail(facts, trans)}`, {
      autoClose: false,
      actions: [
        {
          label: trans.__('Details'),
          callback: () => void showLastStop(last, trans)
        }
      ]
    });
    if (model.mayWrite) {
      api.forgetLastStop().catch(() => undefined); // it is then told once more
    }
  }

  /** Tell whether this browser knows of it, and remember that it does. */
  private _wasTold(at: string): boolean {
    if (this._told === at) {
      return true;
    }
    this._told = at;
    try {
      if (window.localStorage.getItem(TOLD_KEY) === at) {
        return true;
      }
      window.localStorage.setItem(TOLD_KEY, at);
    } catch {
      // Storage may be switched off; then a person who may only read is told again.
    }
    return false;
  }

  private _told = '';
}
