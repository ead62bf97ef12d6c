/** What the server says and takes, as its OpenAPI document describes it. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** Where the routes lie below the server's base URL. */
const PREFIX = 'api/idle-culler/v1';

export type Verdict = 'active' | 'idle' | 'unknown';

export interface IEvidence {
  at: string;
  age_seconds: number;
  source: string;
  detail: string;
}

export interface IWarning {
  since: string;
  ends_in_seconds: number;
  stops_at: string;
}

export interface IHost {
  verdict: Verdict;
  reason: string;
  evidence: IEvidence;
  /** What a stop does here; `none`: the host is never stopped. */
  stop_action: string;
  /** What is at work now, in words. */
  active: readonly string[];
  /** null: no stop while things stay as they are. */
  stops_in_seconds: number | null;
  stops_at: string | null;
  warning: IWarning | null;
}

export interface IResource {
  /** The kernel's id, or the terminal's name. */
  id: string;
  label: string;
  verdict: Verdict;
  reason: string;
  evidence: IEvidence;
  culled_in_seconds: number | null;
  culled_at: string | null;
  facts: Readonly<Record<string, unknown>>;
}

export interface IKeepAlive {
  id: string;
  owner: string;
  reason: string;
  /** null: the host. */
  resource: string | null;
  ends_in_seconds: number;
  ends_at: string;
  mine: boolean;
}

export interface INext {
  resource: string;
  action: 'cull' | 'warn' | 'stop';
  in_seconds: number;
  at: string;
}

export interface IProblem {
  source: string;
  since: string;
  detail: string;
  mend: string;
}

export type HealthStatus = 'ok' | 'degraded' | 'unhealthy';

export interface IHealth {
  status: HealthStatus;
  problems: readonly IProblem[];
}

/** Minutes; null: never, or no bound. */
export interface IPolicy {
  kernel_timeout_minutes: number | null;
  terminal_timeout_minutes: number | null;
  host_timeout_minutes: number | null;
  warning_minutes: number | null;
  min_timeout_minutes: number | null;
  max_timeout_minutes: number | null;
  max_keep_alive_minutes: number | null;
  max_unattended_minutes: number | null;
}

export interface IMay {
  write: boolean;
  stop: boolean;
  administer: boolean;
}

/** What is told of the stop before this start of the server. */
export interface ILastStop {
  at: string;
  reason: string;
  evidence: string;
  /** null: a person asked for the stop. */
  idle_seconds: number | null;
  /** null: idleness; else a username, or empty. */
  asked_by: string | null;
  stop_action: string;
  saved_documents: number;
  unsaved_documents: readonly string[];
  /** How many open pages did not say in time what they saved. */
  silent_pages: number;
  kernels: readonly string[];
  terminals: readonly string[];
}

/** Compute only. */
export interface ICosts {
  hourly_price: number;
  idle_today_seconds: number;
  idle_today_cost: number;
  saved_seconds: number;
  saved_cost: number;
}

export interface IStatus {
  time: string;
  version: string;
  dry_run: boolean;
  host: IHost;
  kernels: readonly IResource[];
  terminals: readonly IResource[];
  keep_alives: readonly IKeepAlive[];
  next: INext | null;
  health: IHealth;
  policy: IPolicy;
  may: IMay;
  last_stop?: ILastStop | null;
  costs?: ICosts | null;
}

export interface IObservation {
  /** `host`, `kernel:…`, `terminal:…` or `everything`. */
  resource: string;
  source: string;
  verdict: Verdict;
  strength: 'work' | 'occupied' | 'unattended';
  detail: string;
  at: string | null;
  age_seconds: number | null;
  value: number | null;
  threshold: number | null;
  unit: string;
}

export interface IExplanation {
  status: IStatus;
  observations: readonly IObservation[];
  limitations: readonly string[];
  other_cullers: readonly string[];
  would_happen: readonly string[];
}

export interface ISetting {
  value: number | null;
  source: 'user' | 'configuration' | 'environment' | 'default';
  minimum: number | null;
  maximum: number | null;
  locked?: boolean;
}

export type Settings = Readonly<Record<string, ISetting>>;

export interface IJournalEntry {
  time: string;
  event: string;
  [member: string]: unknown;
}

export interface IJournal {
  entries: readonly IJournalEntry[];
  skipped: number;
  problem: string | null;
}

export interface IPage {
  page: string;
  open: boolean;
  saved?: number;
  failed?: readonly string[];
}

/** The server refused or failed: its HTTP status, and its words. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly reason: string | null = null,
    readonly field: string | null = null
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

/** The server did not answer at all. */
export class UnreachableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreachableError';
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Read a body as JSON; null where it is none. */
async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Ask one route.
 *
 * @throws RequestError where the server refuses, UnreachableError where it does not answer.
 */
export async function requestAPI<T>(
  route: string,
  init: RequestInit = {},
  settings: ServerConnection.ISettings = ServerConnection.makeSettings()
): Promise<T> {
  const url = URLExt.join(settings.baseUrl, PREFIX) + '/' + route;
  let response: Response;
  try {
    response = await ServerConnection.makeRequest(url, init, settings);
  } catch (error) {
    throw new UnreachableError(String(error));
  }
  const body = await bodyOf(response);
  if (!response.ok) {
    const fault = isObject(body) ? body : {};
    throw new RequestError(
      response.status,
      textOrNull(fault.message) ?? response.statusText,
      textOrNull(fault.reason),
      textOrNull(fault.field)
    );
  }
  return body as T;
}

/** The routes, one method each. */
export class Api {
  constructor(private readonly _settings?: ServerConnection.ISettings) {}

  /** How everything stands. */
  status(): Promise<IStatus> {
    return this._ask('status');
  }

  /** Why, with every observation. */
  explain(): Promise<IExplanation> {
    return this._ask('explain');
  }

  /** The newest entries of the journal, newest last. */
  journal(limit: number): Promise<IJournal> {
    return this._ask(`journal?limit=${limit}`);
  }

  /** What a user may change, and within which bounds. */
  settings(): Promise<Settings> {
    return this._ask('settings');
  }

  /** Change settings, all or none; null takes a wish back. */
  changeSettings(
    changes: Readonly<Record<string, number | null>>
  ): Promise<Settings> {
    return this._ask('settings', 'PATCH', changes);
  }

  /** Keep the host, or one resource, awake from now on. */
  keepAlive(
    minutes: number,
    resource?: string,
    reason?: string
  ): Promise<IKeepAlive> {
    return this._ask('keep-alive', 'POST', { minutes, resource, reason });
  }

  /** End one keep-alive, or all of one's own. */
  cancelKeepAlive(id?: string): Promise<{ cancelled: number }> {
    const query = id === undefined ? '' : `?id=${encodeURIComponent(id)}`;
    return this._ask(`keep-alive${query}`, 'DELETE');
  }

  /** Report that a person works at the page, with the resource in front. */
  presence(resource?: string): Promise<null> {
    return this._ask('activity', 'POST', { presence: true, resource });
  }

  /** Say that this page is open, what it has saved, or (`leaving`) that it closes. */
  page(page: IPage, leaving = false): Promise<null> {
    return this._ask('page', 'POST', page, leaving);
  }

  /** Stop now what an idle host would be stopped by. */
  stop(reason?: string): Promise<{ ok: boolean; detail: string }> {
    return this._ask('stop', 'POST', { reason });
  }

  /** Forget the last stop: a person has read of it. */
  forgetLastStop(): Promise<null> {
    return this._ask('last-stop', 'DELETE');
  }

  private _ask<T>(
    route: string,
    method = 'GET',
    body?: unknown,
    keepalive = false
  ): Promise<T> {
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
    }
    if (keepalive) {
      init.keepalive = true;
    }
    return requestAPI<T>(route, init, this._settings);
  }
}
