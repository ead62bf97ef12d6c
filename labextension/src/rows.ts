/** The rows of the panel: each kernel, terminal and host source, in words. Pure. */

import { TranslationBundle } from '@jupyterlab/translation';

import { IKeepAlive, IObservation, IResource, Verdict } from './api';
import { clockTime, countdown, span } from './format';
import { Model } from './model';
import { ResourceKind } from './wishes';

export interface IRow {
  /** `kernel:<id>`, `terminal:<name>` or `host:<source>`. */
  id: string;
  name: string;
  /** What it belongs to or is of: "Python 3", "python train.py"; empty: nothing to say. */
  belongsTo: string;
  verdict: Verdict;
  /** "active", "idle 18 min", "not known". */
  state: string;
  /** What the verdict rests on. */
  evidence: string;
  /** Its own countdown; empty: none runs. */
  left: string;
  /** Set for what can be kept and shut down. */
  resource: IResource | null;
  kind: ResourceKind | null;
  kept: IKeepAlive | null;
  /** Said where a busy kernel or terminal does nothing to be seen. */
  waits: boolean;
}

function factOf(resource: IResource, name: string): string {
  const value = resource.facts[name];
  return typeof value === 'string' ? value : '';
}

function stateOf(
  verdict: Verdict,
  idleSeconds: number | null,
  trans: TranslationBundle
): string {
  switch (verdict) {
    case 'active':
      return trans.__('active');
    case 'unknown':
      return trans.__('not known');
    case 'idle':
      return idleSeconds === null
        ? trans.__('idle')
        : trans.__('idle %1', span(idleSeconds, trans));
  }
}

/** Return what an evidence was, when, and which source told it. */
export function evidenceText(
  detail: string,
  source: string,
  at: Date | null,
  trans: TranslationBundle
): string {
  const name = sourceName(source, trans);
  return at === null
    ? trans.__('%1 (%2)', detail, name)
    : trans.__('%1: %2 (%3)', clockTime(at), detail, name);
}

/** Return what a source is called. */
export function sourceName(source: string, trans: TranslationBundle): string {
  switch (source) {
    case 'kernels':
      return trans.__('Kernel');
    case 'terminals':
      return trans.__('Terminal');
    case 'processes':
      return trans.__('Processes');
    case 'presence':
      return trans.__('You');
    case 'contents':
      return trans.__('Saved documents');
    case 'other-ttys':
      return trans.__('Other terminals');
    case 'proxied':
      return trans.__('Proxied apps');
    case 'keep-alives':
      return trans.__('Keep-alive');
    case 'heartbeat-files':
      return trans.__('Heartbeat files');
    case 'reported':
      return trans.__('Scripts');
    case 'gpu':
      return trans.__('GPU');
    case 'sidecars':
      return trans.__('Sidecars');
    case 'start':
      return trans.__('Start');
    default:
      return source;
  }
}

function resourceRow(
  model: Model,
  resource: IResource,
  kind: ResourceKind,
  trans: TranslationBundle
): IRow {
  const id = `${kind}:${resource.id}`;
  const { evidence } = resource;
  const age = evidence.age_seconds + model.elapsed();
  const inStatus = resource.culled_in_seconds;
  const display = factOf(resource, 'display_name');
  const kept = model.status?.keep_alives.find(each => each.resource === id);
  const isActive = resource.verdict === 'active';
  return {
    id,
    name: resource.label,
    belongsTo:
      kind === 'kernel'
        ? display === resource.label
          ? ''
          : display
        : factOf(resource, 'foreground'),
    verdict: resource.verdict,
    state: stateOf(resource.verdict, age, trans),
    evidence: isActive
      ? resource.reason
      : evidenceText(
          evidence.detail,
          evidence.source,
          model.moment(model.elapsed() - age),
          trans
        ),
    left:
      inStatus === null
        ? ''
        : trans.__('%1 left', countdown(model.left(inStatus), trans)),
    resource,
    kind,
    kept: kept ?? null,
    waits: isActive && resource.facts.waits_elsewhere === true
  };
}

/** The sources whose word is the person's, which has a row even when nobody was seen. */
const HOST_SOURCES_FIRST = ['processes', 'gpu', 'sidecars'];

function rank(source: string): number {
  const index = HOST_SOURCES_FIRST.indexOf(source);
  return index < 0 ? HOST_SOURCES_FIRST.length : index;
}

function hostName(source: string, trans: TranslationBundle): string {
  return source === 'processes'
    ? trans.__('Background')
    : sourceName(source, trans);
}

function hostRow(
  model: Model,
  seen: IObservation,
  index: number,
  trans: TranslationBundle
): IRow {
  const elapsed = model.explanationAge();
  const age = seen.age_seconds === null ? null : seen.age_seconds + elapsed;
  const figure =
    seen.value !== null && seen.threshold !== null && seen.verdict !== 'active'
      ? thresholdText(seen, trans)
      : '';
  return {
    id: `host:${seen.source}${index === 0 ? '' : `:${index}`}`,
    name: hostName(seen.source, trans),
    belongsTo: '',
    verdict: seen.verdict,
    state: stateOf(seen.verdict, age, trans),
    evidence: figure === '' ? seen.detail : `${seen.detail} ${figure}`,
    left: '',
    resource: null,
    kind: null,
    kept: null,
    waits: false
  };
}

function thresholdText(seen: IObservation, trans: TranslationBundle): string {
  return seen.unit === '%'
    ? trans.__('(counts from %1 % on)', seen.threshold)
    : '';
}

/** Return one row for each kernel, terminal and source of the host. */
export function rowsOf(model: Model, trans: TranslationBundle): IRow[] {
  const { status } = model;
  if (status === null) {
    return [];
  }
  const hosts = model.observations.filter(
    seen => seen.resource === 'host' && seen.source !== 'keep-alives'
  );
  hosts.sort((one, other) => rank(one.source) - rank(other.source));
  const seenOf = new Map<string, number>();
  const hostRows = hosts.map(seen => {
    const index = seenOf.get(seen.source) ?? 0;
    seenOf.set(seen.source, index + 1);
    return hostRow(model, seen, index, trans);
  });
  return [
    ...status.kernels.map(each => resourceRow(model, each, 'kernel', trans)),
    ...status.terminals.map(each =>
      resourceRow(model, each, 'terminal', trans)
    ),
    ...hostRows
  ];
}
