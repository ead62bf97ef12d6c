/** Says over the whole page that it was stopped: the page would only say "connection lost". */

import { Dialog } from '@jupyterlab/apputils';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { IDisposable } from '@lumino/disposable';
import { Widget } from '@lumino/widgets';

import { Client } from './client';
import { IStop } from './model';
import { StopWatcher } from './stop';
import { factsOfStop, stoppedDetail, stoppedHeading } from './stopped';

/** By then a dialog of the lab has been drawn. */
const DRAWN_AFTER_MS = 200;

/** Shows the overlay while the model says stopped, and keeps the lab's own dialog away. */
export class StoppedOverlay implements IDisposable {
  constructor(
    private readonly _client: Client,
    private readonly _stop: StopWatcher,
    translator: ITranslator,
    private readonly _trans: TranslationBundle
  ) {
    // As @jupyterlab/application has it.
    this._lostTitle = translator
      .load('jupyterlab')
      .__('Server Connection Error');
    _client.model.changed.connect(this._onChanged, this);
    Dialog.tracker.widgetAdded.connect(this._onDialog, this);
    Dialog.tracker.forEach(dialog => this._onDialog(null, dialog));
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Take it away. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._client.model.changed.disconnect(this._onChanged, this);
      Dialog.tracker.widgetAdded.disconnect(this._onDialog, this);
      this._hide();
    }
  }

  private _onChanged(): void {
    const { stop } = this._client.model;
    if (stop === null || stop.stage !== 'stopped') {
      this._isClosed = false;
      this._hide();
    } else if (this._widget === null && !this._isClosed) {
      this._show(stop);
    }
  }

  private _show(stop: IStop): void {
    const facts = factsOfStop(stop);
    const overlay = new Widget({ node: document.createElement('div') });
    this._widget = overlay;
    overlay.addClass('jp-IdleCuller-stopped');
    const { node } = overlay;
    node.setAttribute('role', 'alertdialog');
    node.setAttribute('aria-modal', 'true');
    node.setAttribute('aria-labelledby', 'jp-IdleCuller-stoppedHeading');
    node.setAttribute('aria-describedby', 'jp-IdleCuller-stoppedDetail');
    const box = node.appendChild(document.createElement('div'));
    box.className = 'jp-IdleCuller-stoppedBox';
    const heading = box.appendChild(document.createElement('h2'));
    heading.id = 'jp-IdleCuller-stoppedHeading';
    heading.className = 'jp-IdleCuller-stoppedHeading';
    heading.textContent = stoppedHeading(facts, this._trans);
    const detail = box.appendChild(document.createElement('p'));
    detail.id = 'jp-IdleCuller-stoppedDetail';
    detail.textContent = stoppedDetail(facts, this._trans);
    const hint = box.appendChild(document.createElement('p'));
    hint.textContent = this._trans.__(
      'Start it again the way you usually do, then load this page anew.'
    );
    const reload = this._button(box, this._trans.__('Load the page anew'));
    reload.classList.add('jp-mod-accept');
    reload.addEventListener('click', () => window.location.reload());
    const close = this._button(box, this._trans.__('Look at the page'));
    close.addEventListener('click', () => this._onClose());
    node.addEventListener('keydown', event => {
      if (event.key === 'Escape') {
        this._onClose();
      } else if (event.key === 'Tab') {
        event.preventDefault();
        (document.activeElement === reload ? close : reload).focus();
      }
      event.stopPropagation();
    });
    Widget.attach(overlay, document.body);
    reload.focus();
    Dialog.tracker.forEach(dialog => this._onDialog(null, dialog));
  }

  private _button(parent: HTMLElement, label: string): HTMLButtonElement {
    const button = parent.appendChild(document.createElement('button'));
    button.type = 'button';
    button.className = 'jp-mod-styled';
    button.textContent = label;
    return button;
  }

  /** The overlay said already why the server does not answer; it lies above that dialog. */
  private _onDialog(_: unknown, dialog: Dialog<unknown>): void {
    // Its title is drawn a moment after it was made.
    window.setTimeout(() => {
      const header = dialog.node.querySelector('.jp-Dialog-header');
      if (
        this._client.model.stop?.stage === 'stopped' &&
        header?.textContent?.trim() === this._lostTitle
      ) {
        dialog.reject();
      }
    }, DRAWN_AFTER_MS);
  }

  private _hide(): void {
    this._widget?.dispose();
    this._widget = null;
  }

  /** The person wants to see the page, which goes on where the server is still there. */
  private _onClose(): void {
    this._isClosed = true;
    this._hide();
    if (this._client.model.connection === 'ok') {
      this._stop.withdrawn();
    }
  }

  private readonly _lostTitle: string;
  private _widget: Widget | null = null;
  private _isClosed = false;
  private _isDisposed = false;
}
