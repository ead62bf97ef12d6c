/** The foot of the panel: what idleness costs, and the ways to settings and journal. */

import * as React from 'react';

import { ICosts } from './api';
import { money, span } from './format';
import type { IPanelProps } from './panel';

function Costs({ trans, costs }: IPanelProps & { costs: ICosts }): JSX.Element {
  return (
    <p className="jp-IdleCuller-costs">
      {trans.__(
        'Idle today %1, about %2 of compute.',
        span(costs.idle_today_seconds, trans),
        money(costs.idle_today_cost)
      )}{' '}
      {costs.saved_seconds > 0
        ? trans.__(
            'Stops saved %1 in 30 days, about %2.',
            span(costs.saved_seconds, trans),
            money(costs.saved_cost)
          )
        : null}
    </p>
  );
}

/** Asks once, by a click, for what the browser wants to be asked for by a click. */
function DesktopPermission(props: IPanelProps): JSX.Element | null {
  const { preferences, trans } = props;
  const [, setAnswer] = React.useState('');
  if (
    !preferences.value.desktopNotifications ||
    !('Notification' in window) ||
    window.Notification.permission === 'granted'
  ) {
    return null;
  }
  if (window.Notification.permission === 'denied') {
    return (
      <p className="jp-IdleCuller-bound">
        {trans.__(
          'Your browser does not allow desktop notifications for this address.'
        )}
      </p>
    );
  }
  return (
    <button
      type="button"
      className="jp-IdleCuller-button jp-IdleCuller-allowDesktop"
      onClick={() =>
        void window.Notification.requestPermission().then(setAnswer)
      }
    >
      {trans.__('Allow desktop notifications in this browser')}
    </button>
  );
}

/** The foot of the panel. */
export function PanelFoot(props: IPanelProps): JSX.Element | null {
  const { client, preferences, trans, openSettings, openJournal } = props;
  const { model } = client;
  const costs = model.status?.costs ?? null;
  if (model.connection !== 'ok') {
    return null;
  }
  return (
    <footer className="jp-IdleCuller-foot">
      {costs !== null && preferences.value.showCosts ? (
        <Costs costs={costs} {...props} />
      ) : null}
      {preferences.refusal === '' ? null : (
        <p className="jp-IdleCuller-settingsRefusal" role="alert">
          {preferences.refusal}
        </p>
      )}
      <DesktopPermission {...props} />
      {model.limitations.length === 0 ? null : (
        <details className="jp-IdleCuller-limitations">
          <summary>{trans.__('What cannot be seen here')}</summary>
          <ul>
            {model.limitations.map(sentence => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </details>
      )}
      <span className="jp-IdleCuller-links">
        {openSettings === null ? null : (
          <button
            type="button"
            className="jp-IdleCuller-link jp-IdleCuller-openSettings"
            onClick={openSettings}
          >
            {trans.__('Settings')}
          </button>
        )}
        <button
          type="button"
          className="jp-IdleCuller-link jp-IdleCuller-openJournal"
          onClick={openJournal}
        >
          {trans.__('Journal')}
        </button>
      </span>
    </footer>
  );
}
