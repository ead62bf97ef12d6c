/** The top of the panel: what counts, why, and what is wrong where something is. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IStatus } from './api';
import { clockTime, countdown } from './format';
import { atWork, headline, hostKeptFor, whatStops } from './headline';
import { Model } from './model';
import type { IPanelProps } from './panel';
import { evidenceText } from './rows';

/** Say in a sentence what becomes of the host. */
function hostSentence(
  model: Model,
  status: IStatus,
  trans: TranslationBundle
): string {
  const { host } = status;
  const what = whatStops(host.stop_action, trans);
  if (model.failedStop !== null) {
    return trans.__('%1 could not be stopped; it is tried again', what);
  }
  if (host.stops_in_seconds !== null) {
    const left = countdown(model.left(host.stops_in_seconds), trans);
    const at = clockTime(model.moment(host.stops_in_seconds));
    return status.dry_run
      ? trans.__('%1 would stop in %2, at %3', what, left, at)
      : trans.__('%1 stops in %2, at %3', what, left, at);
  }
  if (host.stop_action === 'none') {
    return trans.__('This server is not stopped by the idle culler');
  }
  const kept = hostKeptFor(status);
  if (kept !== null) {
    return trans.__(
      '%1 is kept awake until %2',
      what,
      clockTime(model.moment(kept))
    );
  }
  const work = atWork(status, trans);
  return work === ''
    ? trans.__('%1 is not stopped while things stay as they are', what)
    : trans.__('%1 does not stop while this is at work: %2', what, work);
}

function Evidence({ client, trans }: IPanelProps): JSX.Element | null {
  const { model } = client;
  const { status } = model;
  if (status === null) {
    return null;
  }
  const { evidence } = status.host;
  const at = model.moment(-evidence.age_seconds);
  return (
    <p className="jp-IdleCuller-evidence">
      {trans.__(
        'Last evidence: %1',
        evidenceText(evidence.detail, evidence.source, at, trans)
      )}
    </p>
  );
}

function Problems({ client, trans }: IPanelProps): JSX.Element | null {
  const health = client.model.status?.health;
  if (health === undefined || health.status === 'ok') {
    return null;
  }
  return (
    <div className="jp-IdleCuller-problems" role="group">
      <strong>
        {health.status === 'degraded'
          ? trans.__('Needs attention')
          : trans.__('Needs attention: it cannot do its work')}
      </strong>
      <ul>
        {health.problems.map((problem, index) => (
          <li key={index} data-source={problem.source}>
            {problem.source}: {problem.detail}
            {problem.mend === '' ? null : (
              <span className="jp-IdleCuller-mend">
                {trans.__('What helps: %1', problem.mend)}
              </span>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Say what to do where there is nothing to show. */
function absence(model: Model, trans: TranslationBundle): string {
  switch (model.connection) {
    case 'absent':
      return trans.__(
        'The server extension is not enabled here: nothing is stopped for being idle. "jupyter server extension enable jupyter_idle_culler" and a restart of the server enable it.'
      );
    case 'forbidden':
      if (model.status !== null) {
        return trans.__(
          'The server no longer lets this page look: you may have been logged out. Load the page anew to log in.'
        );
      }
      return trans.__(
        'You may not see the idle culler of this server. Its administrator can permit it: the resource is "idle-culler".'
      );
    case 'unreachable':
      return trans.__(
        'The server does not answer. It is asked again until it does.'
      );
    default:
      return trans.__('The idle culler has not looked yet.');
  }
}

/** The top of the panel. */
export function PanelHead(props: IPanelProps): JSX.Element {
  const { client, trans } = props;
  const { model } = client;
  const line = headline(model, trans);
  if (model.connection !== 'ok' || model.status === null) {
    return (
      <header className="jp-IdleCuller-head" data-state={line.kind}>
        <h2>{line.text}</h2>
        <p>{absence(model, trans)}</p>
      </header>
    );
  }
  return (
    <header className="jp-IdleCuller-head" data-state={line.kind}>
      <h2 title={line.title}>{hostSentence(model, model.status, trans)}</h2>
      {model.status.dry_run ? (
        <p className="jp-IdleCuller-dryRun">
          {trans.__(
            'Dry run: what falls due is announced, nothing is changed.'
          )}
        </p>
      ) : null}
      <Evidence {...props} />
      <Problems {...props} />
    </header>
  );
}
