import { nullTranslator } from '@jupyterlab/translation';

import { ISetting } from '../api';
import {
  boundText,
  changedWishes,
  isOutOfBounds,
  unknownWishes,
  wishesOf
} from '../serversettings';

const trans = nullTranslator.load('test');

function setting(changes: Partial<ISetting> = {}): ISetting {
  return {
    value: 60,
    source: 'configuration',
    minimum: 10,
    maximum: 120,
    locked: false,
    ...changes
  };
}

describe('Wishes for the server', () => {
  it('are read by the names of the server, empty as none', () => {
    expect(wishesOf({ timeoutMinutes: 30, showStatus: true })).toEqual({
      timeout_minutes: 30,
      warning_minutes: null
    });
  });

  it('are sent where they changed only', () => {
    const before = { timeout_minutes: 30, warning_minutes: null };
    expect(changedWishes(before, { ...before })).toBeNull();
    expect(changedWishes(before, { ...before, timeout_minutes: null })).toEqual(
      { timeout_minutes: null }
    );
  });

  it('are told to a server that does not know them, never over its own', () => {
    const wishes = { timeout_minutes: 30, warning_minutes: 2 };
    const known = {
      timeout_minutes: setting(),
      warning_minutes: setting({ source: 'user', value: 5 })
    };
    expect(unknownWishes(wishes, known)).toEqual({ timeout_minutes: 30 });
  });
});

describe('Bounds', () => {
  it.each([
    [null, false],
    [10, false],
    [9, true],
    [120, false],
    [121, true],
    [0, true]
  ])('of 10 to 120 leave out %p: %p', (wish, isOut) => {
    expect(isOutOfBounds(wish, setting())).toBe(isOut);
  });

  it('are said, with what is in force', () => {
    expect(boundText(setting(), null, trans)).toBe(
      'Your administrator allows 10 minutes to 120 minutes. In force: 60 minutes.'
    );
  });

  it('are said to whom wishes for more', () => {
    expect(boundText(setting(), 240, trans)).toMatch(
      /^Your 240 is out of bounds and not followed\. /
    );
  });

  it('are not all that holds a wish shorter', () => {
    const shorter = setting({ source: 'user', value: 15 });
    expect(boundText(shorter, 40, trans)).toMatch(
      /^Your 40 is not followed in full\. .* In force: 15 minutes\.$/
    );
    expect(boundText(shorter, 15, trans)).not.toMatch(/not followed/);
  });

  it('and what is in force are exact', () => {
    expect(boundText(setting({ value: 1.5 }), null, trans)).toMatch(
      /In force: 1\.5 minutes\.$/
    );
  });

  it('read locked where nothing else is allowed', () => {
    expect(boundText(setting({ locked: true }), null, trans)).toBe(
      'Locked by your administrator. In force: 60 minutes.'
    );
  });
});
