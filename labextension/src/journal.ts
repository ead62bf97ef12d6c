/** Shows the newest entries of the journal. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { IJournal, IJournalEntry } from './api';
import { Client, messageOf } from './client';
import { clockTime } from './format';

const ENTRIES = 100;
/** Members that say what happened, in this order. */
const TOLD = ['action', 'resource', 'stage', 'reason', 'detail', 'outcome'];

/** Return what an entry says. */
export function entryText(entry: IJournalEntry): string {
  const told = TOLD.map(name => entry[name]).filter(
    value => typeof value === 'string' && value !== ''
  );
  return told.join(', ');
}

function tableOf(journal: IJournal, trans: TranslationBundle): HTMLElement {
  const node = document.createElement('div');
  node.className = 'jp-IdleCuller-journal';
  node.tabIndex = 0;
  if (journal.problem !== null) {
    const problem = node.appendChild(document.createElement('p'));
    problem.textContent = trans.__('It cannot be written: %1', journal.problem);
  }
  if (journal.entries.length === 0) {
    node.append(trans.__('The journal is empty.'));
    return node;
  }
  const table = node.appendChild(document.createElement('table'));
  const head = table.createTHead().insertRow();
  for (const title of [trans.__('When'), trans.__('What'), trans.__('Why')]) {
    const cell = head.appendChild(document.createElement('th'));
    cell.scope = 'col';
    cell.textContent = title;
  }
  const body = table.createTBody();
  for (const entry of [...journal.entries].reverse()) {
    const row = body.insertRow();
    row.insertCell().textContent = clockTime(new Date(entry.time));
    row.insertCell().textContent = entry.event;
    row.insertCell().textContent = entryText(entry);
  }
  return node;
}

/** Fetch the journal and show it, newest first. */
export async function showJournal(
  client: Client,
  trans: TranslationBundle
): Promise<void> {
  let node: HTMLElement;
  try {
    node = tableOf(await client.api.journal(ENTRIES), trans);
  } catch (error) {
    node = document.createElement('p');
    node.textContent = messageOf(error);
  }
  await showDialog({
    title: trans.__('What the idle culler did'),
    body: new Widget({ node }),
    buttons: [Dialog.okButton({ label: trans.__('Close') })]
  });
}
