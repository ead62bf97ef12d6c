/** The line in the status bar, or where there is none at the right end of the top bar. */

import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { Client } from './client';
import { headline, untilNext } from './headline';
import { hourglassIcon } from './icons';
import { Preferences } from './preferences';
import { Ticker } from './ticker';

/** A button with the headline; a click opens the panel. */
export class StatusItem extends Widget {
  constructor(
    private readonly _client: Client,
    private readonly _preferences: Preferences,
    private readonly _trans: TranslationBundle,
    onClick: () => void
  ) {
    super({ node: document.createElement('button') });
    this.id = 'jupyter-idle-culler-status';
    this.addClass('jp-IdleCuller-status');
    this.addClass('jp-StatusBar-TextItem');
    const button = this.node as HTMLButtonElement;
    button.type = 'button';
    button.addEventListener('click', onClick);
    hourglassIcon.element({
      container: button.appendChild(document.createElement('span')),
      tag: 'span',
      stylesheet: 'statusBar'
    });
    this._text = button.appendChild(document.createElement('span'));
    this._text.className = 'jp-IdleCuller-statusText';
    this._ticker = new Ticker(() => this._draw());
    _client.model.changed.connect(this._onChanged, this);
    _preferences.changed.connect(this._onChanged, this);
    this._ticker.tick();
  }

  override dispose(): void {
    this._ticker.dispose();
    this._client.model.changed.disconnect(this._onChanged, this);
    this._preferences.changed.disconnect(this._onChanged, this);
    super.dispose();
  }

  private _onChanged(): void {
    this._ticker.tick();
  }

  private _draw(): number | null {
    this._client.noticeJump();
    const line = headline(this._client.model, this._trans);
    const { node } = this;
    this.setHidden(!this._preferences.value.showStatus);
    node.dataset.state = line.kind;
    if (this._text.textContent !== line.text) {
      this._text.textContent = line.text;
    }
    if (node.title !== line.title) {
      node.title = line.title;
      node.setAttribute('aria-description', line.title);
    }
    return untilNext(line);
  }

  private readonly _text: HTMLElement;
  private readonly _ticker: Ticker;
}
