/** The two kinds of events that the server emits, and how to tell them from others. */

import { HealthStatus, INext, IWarning, Verdict } from './api';

const PREFIX = 'https://events.jupyter.org/jupyter_idle_culler';
export const STATUS_SCHEMA = `${PREFIX}/status/v1`;
export const DECISION_SCHEMA = `${PREFIX}/decision/v1`;

export interface ICounts {
  active: number;
  idle: number;
  unknown: number;
}

/** Something that people see has changed. */
export interface IStatusEvent {
  time: string;
  dry_run: boolean;
  host: {
    verdict: Verdict;
    stop_action: string;
    stops_in_seconds: number | null;
    stops_at: string | null;
  };
  next: INext | null;
  warning: IWarning | null;
  health: HealthStatus;
  kernels: ICounts;
  terminals: ICounts;
  keep_alives: number;
}

/** Something is about to be ended, or it is known what became of that. */
export interface IDecisionEvent {
  time: string;
  stage: 'decided' | 'done' | 'failed' | 'withdrawn';
  action: 'cull' | 'warn' | 'cancel-warning' | 'stop';
  kind: 'kernel' | 'terminal' | 'host';
  resource: string;
  reason: string;
  idle_since: string | null;
  in_seconds: number | null;
  detail: string;
}

/** What the event manager hands on: any schema's event. */
export interface IEmission {
  schema_id: string;
}

/** Return the status event that an emission is, or null. The server has validated it. */
export function asStatusEvent(emission: IEmission): IStatusEvent | null {
  return emission.schema_id === STATUS_SCHEMA
    ? (emission as unknown as IStatusEvent)
    : null;
}

/** Return the decision event that an emission is, or null. The server has validated it. */
export function asDecisionEvent(emission: IEmission): IDecisionEvent | null {
  return emission.schema_id === DECISION_SCHEMA
    ? (emission as unknown as IDecisionEvent)
    : null;
}
