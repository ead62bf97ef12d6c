/** One row of the panel: a kernel, a terminal or a source of the host. */

import * as React from 'react';

import { clockTime, span } from './format';
import type { IPanelProps } from './panel';
import { IRow } from './rows';
import { usualMinutes } from './warnings';

function RowButtons(props: IPanelProps & { row: IRow }): JSX.Element | null {
  const { client, wishes, trans, row } = props;
  const { model } = client;
  const { resource, kind, kept } = row;
  if (resource === null || kind === null || !model.mayWrite) {
    return null;
  }
  const bound = model.status?.policy.max_keep_alive_minutes ?? null;
  const minutes = usualMinutes(bound);
  return (
    <span className="jp-IdleCuller-rowButtons">
      {kept === null && minutes !== null ? (
        <button
          type="button"
          className="jp-IdleCuller-button jp-IdleCuller-keep"
          title={trans.__('Keep it for %1', span(minutes * 60, trans))}
          aria-label={trans.__('Keep %1', row.name)}
          onClick={() => void wishes.keepAwake(minutes, row.id)}
        >
          {trans.__('Keep')}
        </button>
      ) : null}
      {kept !== null && kept.mine ? (
        <button
          type="button"
          className="jp-IdleCuller-button jp-IdleCuller-cancel"
          aria-label={trans.__('Keep %1 no longer', row.name)}
          onClick={() => void wishes.cancel(kept.id)}
        >
          {trans.__('Cancel')}
        </button>
      ) : null}
      <button
        type="button"
        className="jp-IdleCuller-button jp-IdleCuller-shutDown"
        aria-label={trans.__('Shut down %1', row.name)}
        onClick={() => void wishes.shutDown(resource, kind)}
      >
        {trans.__('Shut down')}
      </button>
    </span>
  );
}

/** One row. */
export function PanelRow(props: IPanelProps & { row: IRow }): JSX.Element {
  const { client, trans, row } = props;
  const { kept } = row;
  return (
    <li
      className="jp-IdleCuller-row"
      data-resource={row.id}
      data-verdict={row.verdict}
    >
      <span className="jp-IdleCuller-rowName" title={row.name}>
        {row.name}
      </span>
      <span className="jp-IdleCuller-rowState">{row.state}</span>
      <span className="jp-IdleCuller-rowDetail">
        {[row.belongsTo, row.evidence].filter(text => text !== '').join(' · ')}
      </span>
      {row.waits ? (
        <span className="jp-IdleCuller-rowWaits">
          {trans.__(
            'It probably waits for something elsewhere, which would go on without this machine.'
          )}
        </span>
      ) : null}
      <span className="jp-IdleCuller-rowEnd">
        <span className="jp-IdleCuller-rowLeft">
          {kept === null
            ? row.left
            : trans.__(
                'kept until %1',
                clockTime(client.model.moment(kept.ends_in_seconds))
              )}
        </span>
        <RowButtons {...props} />
      </span>
    </li>
  );
}
