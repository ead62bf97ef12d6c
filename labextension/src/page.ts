/** Lets the server know which pages are open, so that it waits for them before a stop. */

import { UUID } from '@lumino/coreutils';
import { IDisposable } from '@lumino/disposable';

import { Client } from './client';

/** Return a name for this page that no other has. */
export function newPageId(): string {
  return UUID.uuid4();
}

/**
 * Says that the page is open, and when it closes. It says so again when the server came back or the
 * page is looked at again: a server that was started anew knows no page.
 */
export class PagePresence implements IDisposable {
  constructor(
    private readonly _client: Client,
    private readonly _page: string
  ) {
    _client.connected.connect(this._open, this);
    window.addEventListener('pagehide', this._onHide);
    document.addEventListener('visibilitychange', this._onVisibility);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Say nothing any more. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._client.connected.disconnect(this._open, this);
      window.removeEventListener('pagehide', this._onHide);
      document.removeEventListener('visibilitychange', this._onVisibility);
    }
  }

  private _open(): void {
    this._say(true);
  }

  private _say(open: boolean): void {
    if (this._client.model.mayWrite) {
      // Where it does not get through, the server does not wait for this page: no harm.
      this._client.api
        .page({ page: this._page, open }, !open)
        .catch(() => undefined);
    }
  }

  private readonly _onHide = (): void => this._say(false);

  private readonly _onVisibility = (): void => {
    if (document.visibilityState === 'visible') {
      this._say(true);
    }
  };

  private _isDisposed = false;
}
