/** What a person sets in the lab for the server to follow, within the administrator's bounds. */

import { TranslationBundle } from '@jupyterlab/translation';

import { ISetting, Settings } from './api';

/** The settings of the lab that the server follows, and what it calls them. */
export const ON_SERVER: Readonly<Record<string, string>> = {
  timeoutMinutes: 'timeout_minutes',
  warningMinutes: 'warning_minutes'
};

/** A person's wishes by the server's names; null: as the administrator has it. */
export type ServerWishes = Readonly<Record<string, number | null>>;

/** Read the wishes out of the lab's settings. */
export function wishesOf(
  composite: Readonly<Record<string, unknown>>
): ServerWishes {
  const wishes: Record<string, number | null> = {};
  for (const [name, onServer] of Object.entries(ON_SERVER)) {
    const value = composite[name];
    wishes[onServer] = typeof value === 'number' ? value : null;
  }
  return wishes;
}

/** Return what differs, or null where nothing does. */
export function changedWishes(
  before: ServerWishes,
  after: ServerWishes
): ServerWishes | null {
  const changed = Object.entries(after).filter(
    ([name, value]) => before[name] !== value
  );
  return changed.length === 0 ? null : Object.fromEntries(changed);
}

/** Return the wishes that a server which was started anew does not know yet, or null. */
export function unknownWishes(
  wishes: ServerWishes,
  settings: Settings
): ServerWishes | null {
  const unknown = Object.entries(wishes).filter(
    ([name, value]) =>
      value !== null &&
      settings[name] !== undefined &&
      settings[name].source !== 'user' &&
      settings[name].value !== value
  );
  return unknown.length === 0 ? null : Object.fromEntries(unknown);
}

/** Return minutes as a person would type them: exact, for bounds are. */
function minutesText(value: number | null, trans: TranslationBundle): string {
  if (value === null || value === 0) {
    return trans.__('never');
  }
  const exact = Number(value.toFixed(2));
  return exact === 1 ? trans.__('1 minute') : trans.__('%1 minutes', exact);
}

/** Tell whether a wish lies outside of the bounds. 0 is never, the longest of all. */
export function isOutOfBounds(wish: number | null, setting: ISetting): boolean {
  if (wish === null) {
    return false;
  }
  const value = wish === 0 ? Infinity : wish;
  return (
    (setting.minimum !== null && value < setting.minimum) ||
    (setting.maximum !== null && value > setting.maximum)
  );
}

/** Tell whether the server took a wish, but something else holds it shorter. */
function isShortened(wish: number | null, setting: ISetting): boolean {
  return (
    wish !== null &&
    setting.source === 'user' &&
    setting.value !== null &&
    setting.value < wish
  );
}

/** Say what the administrator's bounds make of a setting. */
export function boundText(
  setting: ISetting,
  wish: number | null,
  trans: TranslationBundle
): string {
  const inForce = minutesText(setting.value, trans);
  if (setting.locked) {
    return trans.__('Locked by your administrator. In force: %1.', inForce);
  }
  const { minimum, maximum } = setting;
  const sentences: string[] = [];
  if (isOutOfBounds(wish, setting)) {
    sentences.push(
      trans.__('Your %1 is out of bounds and not followed.', wish ?? '')
    );
  } else if (isShortened(wish, setting)) {
    sentences.push(trans.__('Your %1 is not followed in full.', wish ?? ''));
  }
  if (minimum !== null && maximum !== null) {
    sentences.push(
      trans.__(
        'Your administrator allows %1 to %2.',
        minutesText(minimum, trans),
        minutesText(maximum, trans)
      )
    );
  } else if (maximum !== null) {
    sentences.push(
      trans.__(
        'Your administrator allows at most %1.',
        minutesText(maximum, trans)
      )
    );
  } else if (minimum !== null) {
    sentences.push(
      trans.__(
        'Your administrator allows at least %1.',
        minutesText(minimum, trans)
      )
    );
  }
  sentences.push(trans.__('In force: %1.', inForce));
  return sentences.join(' ');
}
