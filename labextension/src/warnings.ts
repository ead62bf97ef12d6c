/** Warns when the host warning begins and again a minute before the stop, in every open tab. */

import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { IDisposable } from '@lumino/disposable';

import { Client } from './client';
import { span } from './format';
import { warningText } from './headline';
import { Preferences } from './preferences';
import { Wishes } from './wishes';

/** So long before the stop the second warning comes. */
const LAST_CALL_SECONDS = 60;
/** A deadline that moved by less is the same. */
const SAME_DEADLINE_MS = 3000;
/** The buttons of a notification are narrow: "1 h" stays together. */
const NO_BREAK_SPACE = '\u00a0';
/** What *Keep awake* of a warning asks for, where the administrator allows so much. */
export const USUAL_MINUTES = 60;

/** Return how long *Keep awake* of a warning is; null: the administrator allows none. */
export function usualMinutes(maximum: number | null): number | null {
  const minutes = Math.min(maximum ?? USUAL_MINUTES, USUAL_MINUTES);
  return minutes > 0 ? minutes : null;
}

/** Raises notifications of the lab, and of the desktop where wanted, and takes them back. */
export class Warnings implements IDisposable {
  constructor(
    private readonly _client: Client,
    private readonly _preferences: Preferences,
    private readonly _wishes: Wishes,
    private readonly _trans: TranslationBundle
  ) {
    this._live = document.createElement('div');
    this._live.className = 'jp-IdleCuller-live';
    this._live.setAttribute('role', 'status');
    this._live.setAttribute('aria-live', 'assertive');
    document.body.appendChild(this._live);
    _client.model.changed.connect(this._onChanged, this);
    document.addEventListener('visibilitychange', this._onSeen);
    this._onChanged();
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Warn no more. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._client.model.changed.disconnect(this._onChanged, this);
      document.removeEventListener('visibilitychange', this._onSeen);
      this._takeBack();
      this._live.remove();
    }
  }

  private _onChanged(): void {
    const { model } = this._client;
    const seconds = model.stopsIn;
    if (model.connection !== 'ok' && model.stop === null) {
      return; // what is not known is not over
    }
    if (!model.warned || seconds === null) {
      this._takeBack();
      return;
    }
    const deadline = model.moment(model.elapsed() + seconds).getTime();
    const moved =
      seconds > 0 && Math.abs(deadline - this._deadline) > SAME_DEADLINE_MS;
    this._deadline = deadline;
    const isLast = seconds <= LAST_CALL_SECONDS + 1;
    if (
      this._stage === 'none' ||
      moved ||
      (isLast && this._stage === 'first')
    ) {
      this._warn(isLast ? 'last' : 'first');
    }
    window.clearTimeout(this._lastCall);
    if (!isLast) {
      const wait = (seconds - LAST_CALL_SECONDS) * 1000;
      this._lastCall = window.setTimeout(() => this._onChanged(), wait);
    }
  }

  private readonly _onSeen = (): void => this._onChanged();

  private _warn(stage: 'first' | 'last'): void {
    const { status } = this._client.model;
    if (status === null) {
      return;
    }
    this._dismiss();
    this._stage = stage;
    const text = warningText(this._client.model, status, this._trans);
    this._shown = Notification.emit(text, 'warning', {
      autoClose: false,
      actions: this._actions()
    });
    this._live.textContent = text;
    this._tellDesktop(text);
  }

  private _actions(): Notification.IAction[] {
    const { model } = this._client;
    const trans = this._trans;
    const actions: Notification.IAction[] = [];
    if (model.mayWrite) {
      actions.push({
        label: trans.__('Keep working'),
        displayType: 'accent',
        callback: () => this._after(this._wishes.keepWorking())
      });
      const bound = model.status?.policy.max_keep_alive_minutes ?? null;
      const minutes = usualMinutes(bound);
      if (minutes !== null) {
        actions.push({
          label: trans.__(
            'Keep awake %1',
            span(minutes * 60, trans).replace(/ /g, NO_BREAK_SPACE)
          ),
          displayType: 'default',
          callback: () => this._after(this._wishes.keepAwake(minutes))
        });
      }
    }
    if (model.mayStop) {
      actions.push({
        label: trans.__('Stop now'),
        displayType: 'warn',
        callback: () => this._after(this._wishes.stopNow())
      });
    }
    return actions;
  }

  /** Warn again where an answer came to nothing: with it the notification has gone. */
  private _after(answer: Promise<boolean>): void {
    void answer.then(done => {
      if (!done && this._client.model.stop === null && this._stage !== 'none') {
        this._warn(this._stage);
      }
    });
  }

  /** Tell the desktop too, where it was asked for: the tab is often not in front. */
  private _tellDesktop(text: string): void {
    if (
      !this._preferences.value.desktopNotifications ||
      !('Notification' in window) ||
      window.Notification.permission !== 'granted'
    ) {
      return;
    }
    try {
      // One tag: several tabs make one notification of it.
      const shown = new window.Notification(this._trans.__('Idle culler'), {
        body: text,
        tag: 'jupyter-idle-culler'
      });
      shown.onclick = () => {
        window.focus();
        shown.close();
      };
      this._onDesktop = shown;
    } catch {
      // Some browsers let only service workers notify.
    }
  }

  private _takeBack(): void {
    window.clearTimeout(this._lastCall);
    if (this._stage !== 'none') {
      this._stage = 'none';
      this._deadline = 0;
      this._dismiss();
      this._live.textContent =
        this._client.model.stop === null
          ? this._trans.__('The warning is over.')
          : this._trans.__('Stopping now.');
    }
  }

  private _dismiss(): void {
    if (this._shown !== '') {
      Notification.dismiss(this._shown);
      this._shown = '';
    }
    this._onDesktop?.close();
    this._onDesktop = null;
  }

  private readonly _live: HTMLElement;
  private _stage: 'none' | 'first' | 'last' = 'none';
  private _deadline = 0;
  private _shown = '';
  private _lastCall = 0;
  private _onDesktop: globalThis.Notification | null = null;
  private _isDisposed = false;
}
