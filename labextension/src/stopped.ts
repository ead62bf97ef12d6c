/** What is said after a stop: at once over the page, and once more at the next start. */

import { TranslationBundle } from '@jupyterlab/translation';

import { ILastStop } from './api';
import { clockTime, inWords, kernelsAndTerminals } from './format';
import { IStop } from './model';

/** What both forms of a stop tell. */
export interface IStopFacts {
  at: Date;
  /** null: a person asked for it. */
  idleSeconds: number | null;
  /** It was due and the server answers no more; nobody saw the stop. */
  presumed: boolean;
  saved: number;
  failed: readonly string[];
  /** Open pages that did not say what they saved. */
  silentPages: number;
  kernels: number;
  terminals: number;
}

/** Return the facts of a stop that this page has seen. */
export function factsOfStop(stop: IStop): IStopFacts {
  return { ...stop, at: new Date(stop.at), silentPages: 0 };
}

/** Return the facts of the stop before this start of the server. */
export function factsOfLastStop(last: ILastStop): IStopFacts {
  return {
    at: new Date(last.at),
    idleSeconds: last.asked_by === null ? last.idle_seconds : null,
    presumed: false,
    saved: last.saved_documents,
    failed: last.unsaved_documents,
    silentPages: last.silent_pages,
    kernels: last.kernels.length,
    terminals: last.terminals.length
  };
}

function idleFor(seconds: number, trans: TranslationBundle): string {
  if (seconds < 55) {
    const whole = Math.max(1, Math.round(seconds));
    return trans._n('%1 idle second', '%1 idle seconds', whole);
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 100
    ? trans._n('%1 idle minute', '%1 idle minutes', minutes)
    : trans.__('%1 of idleness', inWords(seconds, trans));
}

/** Return the heading: that it was stopped, when, and after what. */
export function stoppedHeading(
  facts: IStopFacts,
  trans: TranslationBundle
): string {
  const at = clockTime(facts.at);
  if (facts.presumed) {
    return trans.__(
      'It was due to stop for idleness at %1, and does not answer any more.',
      at
    );
  }
  return facts.idleSeconds === null
    ? trans.__('Stopped at %1, as was asked for.', at)
    : trans.__(
        'Stopped at %1 after %2.',
        at,
        idleFor(facts.idleSeconds, trans)
      );
}

function documentsText(facts: IStopFacts, trans: TranslationBundle): string {
  const lost = facts.failed.length;
  if (lost > 0) {
    return trans._n(
      '%1 document could not be saved',
      '%1 documents could not be saved',
      lost
    );
  }
  if (facts.silentPages > 0) {
    return trans._n(
      '%1 open page did not say what it saved',
      '%1 open pages did not say what they saved',
      facts.silentPages
    );
  }
  return facts.saved > 0
    ? trans.__('Your notebooks were saved')
    : trans.__('Nothing was left unsaved');
}

/** Return what became of documents, kernels and terminals, shortly. */
export function stoppedDetail(
  facts: IStopFacts,
  trans: TranslationBundle
): string {
  const documents = documentsText(facts, trans);
  const lost = kernelsAndTerminals(facts.kernels, facts.terminals, trans);
  if (lost === null || facts.presumed) {
    return trans.__('%1.', documents);
  }
  return facts.kernels + facts.terminals === 1
    ? trans.__('%1; %2 was shut down.', documents, lost)
    : trans.__('%1; %2 were shut down.', documents, lost);
}

/** Return the names of what may be lost; empty: nothing is. */
export function unsavedText(
  facts: IStopFacts,
  trans: TranslationBundle
): string {
  return facts.failed.length === 0
    ? ''
    : trans.__('Could not be saved: %1', facts.failed.join(', '));
}
