/** Tells once, at the next start, when and why it was stopped and what was shut down. */

import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { Client } from './client';
import { factsOfLastStop, stoppedDetail, stoppedHeading } from './stopped';

const TOLD_KEY = 'jupyter_idle_culler:last-stop';

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
    const facts = factsOfLastStop(last);
    const text = [
      stoppedHeading(facts, this._trans),
      stoppedDetail(facts, this._trans),
      last.asked_by === null && last.evidence !== ''
        ? this._trans.__('Last evidence: %1', last.evidence)
        : ''
    ];
    Notification.info(text.join(' ').trim(), { autoClose: false });
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
