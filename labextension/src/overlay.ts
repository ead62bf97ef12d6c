/** Says over the whole page that it was stopped: the page would only say "connection lost". */

import { Dialog } from '@jupyterlab/apputils';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { IDisposable } from '@lumino/disposable';
import { Widget } from '@lumino/widgets';

import { Client } from './client';
import { IStop } from './model';
import { StopWatcher } from './stop';
import {
  factsOfStop,
  stoppedDetail,
  stoppedHeading,
  unsavedText
} from './stopped';

/** Hides the lab's dialogs below: that of a lost connection comes again with each poll. */
const STOPPED_CLASS = 'jp-mod-idleCullerStopped';
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
    } else if (!this._isClosed) {
      if (this._widget === null) {
        this._show();
      }
      this._say(stop);
    }
  }

  private _say(stop: IStop): void {
    const facts = factsOfStop(stop);
    this._heading.textContent = stoppedHeading(facts, this._trans);
    this._detail.textContent = stoppedDetail(facts, this._trans);
    this._unsaved.textContent = unsavedText(facts, this._trans);
    this._unsaved.hidden = this._unsaved.textContent === '';
  }

  private _show(): void {
    // Of the browser's own dialogs, so that none of the lab's keeps the keyboard to itself.
    const node = document.createElement('dialog');
    const overlay = new Widget({ node });
    this._widget = overlay;
    overlay.addClass('jp-IdleCuller-stopped');
    node.setAttribute('role', 'alertdialog');
    node.setAttribute('aria-labelledby', 'jp-IdleCuller-stoppedHeading');
    node.setAttribute('aria-describedby', 'jp-IdleCuller-stoppedDetail');
    const box = node.appendChild(document.createElement('div'));
    box.className = 'jp-IdleCuller-stoppedBox';
    this._heading.id = 'jp-IdleCuller-stoppedHeading';
    this._heading.className = 'jp-IdleCuller-stoppedHeading';
    this._detail.id = 'jp-IdleCuller-stoppedDetail';
    this._unsaved.className = 'jp-IdleCuller-stoppedUnsaved';
    box.append(this._heading, this._detail, this._unsaved);
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
      event.stopPropagation(); // no shortcut of the lab is meant
    });
    node.addEventListener('cancel', () => this._onClose());
    Widget.attach(overlay, document.body);
    document.body.classList.add(STOPPED_CLASS);
    node.showModal();
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
    document.body.classList.remove(STOPPED_CLASS);
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
  private readonly _heading = document.createElement('h2');
  private readonly _detail = document.createElement('p');
  private readonly _unsaved = document.createElement('p');
  private _widget: Widget | null = null;
  private _isClosed = false;
  private _isDisposed = false;
}
