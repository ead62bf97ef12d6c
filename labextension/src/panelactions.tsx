/** What can be done about the host: keep it awake, cancel that, stop now. */

import * as React from 'react';

import { IKeepAlive } from './api';
import { clockTime, span } from './format';
import type { IPanelProps } from './panel';
import { minutesUntil } from './untiltime';

/** The spans to choose from, in minutes. */
const CHOICES = [15, 60, 240];

function KeepAwake({ client, wishes, trans }: IPanelProps): JSX.Element {
  const bound = client.model.status?.policy.max_keep_alive_minutes ?? null;
  const [time, setTime] = React.useState('');
  const minutes = minutesUntil(time, new Date());
  const keep = (event: React.FormEvent) => {
    event.preventDefault();
    if (minutes !== null) {
      void wishes.keepAwake(minutes);
    }
  };
  if (bound === 0) {
    return (
      <p className="jp-IdleCuller-bound">
        {trans.__('Your administrator allows no keep-alives.')}
      </p>
    );
  }
  return (
    <form
      className="jp-IdleCuller-keepAwake"
      onSubmit={keep}
      aria-label={trans.__('Keep awake')}
    >
      <span>{trans.__('Keep awake')}</span>
      <span className="jp-IdleCuller-choices" role="group">
        {CHOICES.map(choice => {
          const isTooLong = bound !== null && choice > bound;
          const text = span(choice * 60, trans);
          return (
            <button
              key={choice}
              type="button"
              className="jp-IdleCuller-button"
              data-minutes={choice}
              disabled={isTooLong}
              aria-label={trans.__('Keep awake for %1', text)}
              title={isTooLong ? trans.__('Longer than your bound') : undefined}
              onClick={() => void wishes.keepAwake(choice)}
            >
              {text}
            </button>
          );
        })}
      </span>
      <label className="jp-IdleCuller-until">
        {trans.__('until')}
        <input
          type="time"
          className="jp-IdleCuller-untilTime"
          value={time}
          onChange={event => setTime(event.target.value)}
        />
      </label>
      <button
        type="submit"
        className="jp-IdleCuller-button jp-IdleCuller-untilKeep"
        disabled={minutes === null}
      >
        {trans.__('Keep')}
      </button>
      {bound === null ? null : (
        <p className="jp-IdleCuller-bound">
          {trans.__(
            'up to %1 (set by your administrator)',
            span(bound * 60, trans)
          )}
        </p>
      )}
    </form>
  );
}

function Kept(props: IPanelProps & { kept: IKeepAlive }): JSX.Element {
  const { client, wishes, trans, kept } = props;
  const { model } = client;
  const until = clockTime(model.moment(kept.ends_in_seconds));
  const text = kept.mine
    ? trans.__('Kept awake until %1', until)
    : trans.__('Kept awake until %1 by %2', until, kept.owner);
  const mayCancel =
    model.mayWrite && (kept.mine || model.status?.may.administer === true);
  return (
    <p className="jp-IdleCuller-kept" data-keep-alive={kept.id}>
      {kept.reason === '' ? text : `${text}: ${kept.reason}`}
      {mayCancel ? (
        <button
          type="button"
          className="jp-IdleCuller-button jp-IdleCuller-cancel"
          onClick={() => void wishes.cancel(kept.id)}
        >
          {trans.__('Cancel')}
        </button>
      ) : null}
    </p>
  );
}

/** The row of buttons below the deadline. What is not allowed is not there. */
export function PanelActions(props: IPanelProps): JSX.Element | null {
  const { client, wishes, trans } = props;
  const { model } = client;
  const { status } = model;
  if (model.connection !== 'ok' || status === null) {
    return null;
  }
  const hostKept = status.keep_alives.filter(kept => kept.resource === null);
  return (
    <div className="jp-IdleCuller-actions">
      {hostKept.map(kept => (
        <Kept key={kept.id} kept={kept} {...props} />
      ))}
      {model.mayWrite ? <KeepAwake {...props} /> : null}
      {model.mayWrite ? null : (
        <p className="jp-IdleCuller-readOnly">
          {trans.__('You may look, but change nothing.')}
        </p>
      )}
      {model.mayStop ? (
        <button
          type="button"
          className="jp-IdleCuller-button jp-IdleCuller-stopNow"
          onClick={() => void wishes.stopNow()}
        >
          {trans.__('Stop now …')}
        </button>
      ) : null}
    </div>
  );
}
