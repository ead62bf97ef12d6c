/** The panel: the deadline that counts, what can be done about it, and a row for each thing. */

import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { TranslationBundle } from '@jupyterlab/translation';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { Client } from './client';
import { hourglassIcon } from './icons';
import { PanelActions } from './panelactions';
import { PanelFoot } from './panelfoot';
import { PanelHead } from './panelhead';
import { PanelRow } from './panelrow';
import { Preferences } from './preferences';
import { rowsOf } from './rows';
import { Ticker } from './ticker';
import { Wishes } from './wishes';

/** What each part of the panel is handed. */
export interface IPanelProps {
  client: Client;
  wishes: Wishes;
  preferences: Preferences;
  trans: TranslationBundle;
  /** Open the widget's settings; null: this application has no settings editor. */
  openSettings: (() => void) | null;
  /** Show the journal. */
  openJournal: () => void;
}

/** The panel redraws every second while something counts down in it. */
const REDRAW_MS = 1000;

function useSeconds(isShown: boolean): void {
  const [, setCount] = React.useState(0);
  React.useEffect(() => {
    if (!isShown) {
      return;
    }
    const ticker = new Ticker(() => {
      setCount(count => count + 1);
      return REDRAW_MS;
    });
    ticker.tick();
    return () => ticker.dispose();
  }, [isShown]);
}

function PanelBody(props: IPanelProps & { isShown: boolean }): JSX.Element {
  const { client, trans, isShown } = props;
  const { model } = client;
  useSeconds(isShown);
  const rows = model.connection === 'ok' ? rowsOf(model, trans) : [];
  return (
    <>
      <PanelHead {...props} />
      <PanelActions {...props} />
      {model.refusal === '' ? null : (
        <div className="jp-IdleCuller-refusal" role="alert">
          {model.refusal}
        </div>
      )}
      {rows.length === 0 ? null : (
        <ul
          className="jp-IdleCuller-rows"
          aria-label={trans.__('Kernels, terminals and other evidence')}
        >
          {rows.map(row => (
            <PanelRow key={row.id} row={row} {...props} />
          ))}
        </ul>
      )}
      <PanelFoot {...props} />
    </>
  );
}

/** The panel in the right area. While it is shown the explanation is asked for too. */
export class IdleCullerPanel extends ReactWidget {
  constructor(private readonly _props: IPanelProps) {
    super();
    const { trans } = _props;
    this.id = 'jupyter-idle-culler-panel';
    this.addClass('jp-IdleCuller-panel');
    this.title.icon = hourglassIcon;
    this.title.caption = trans.__('Idle culler');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Idle culler'));
    this.node.tabIndex = -1;
  }

  override render(): JSX.Element {
    return (
      <UseSignal signal={this._props.client.model.changed}>
        {() => (
          <UseSignal signal={this._props.preferences.changed}>
            {() => <PanelBody {...this._props} isShown={this._isShown} />}
          </UseSignal>
        )}
      </UseSignal>
    );
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._show(true);
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._show(this.isVisible);
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._show(false);
  }

  protected override onBeforeDetach(message: Message): void {
    super.onBeforeDetach(message);
    this._show(false);
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  private _show(isShown: boolean): void {
    this._isShown = isShown;
    this._props.client.setDetailed(isShown);
    this.update();
  }

  private _isShown = false;
}
