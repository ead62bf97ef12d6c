import { nullTranslator } from '@jupyterlab/translation';

import {
  clockTime,
  countdown,
  inWords,
  kernelsAndTerminals,
  minutesAndSeconds,
  span,
  untilItReadsOtherwise
} from '../format';
import { minutesUntil } from '../untiltime';

const trans = nullTranslator.load('test');

describe('A span', () => {
  it.each([
    [0, '0 s'],
    [-5, '0 s'],
    [59.9, '59 s'],
    [60, '1 min'],
    [2579, '42 min'],
    [3600, '1 h'],
    [7199, '1 h 59 min'],
    [7080, '1 h 58 min'],
    [86400, '1 d'],
    [183600, '2 d 3 h']
  ])('of %s seconds reads %s', (seconds, text) => {
    expect(span(seconds, trans)).toBe(text);
  });
});

describe('A countdown', () => {
  it.each([
    [2520, '42 min'],
    [300, '5 min'],
    [299.9, '4:59'],
    [252.7, '4:12'],
    [9, '0:09'],
    [0, '0:00']
  ])('at %s seconds reads %s', (seconds, text) => {
    expect(countdown(seconds, trans)).toBe(text);
  });

  it.each([2520, 2519.3, 301.5, 300, 299.5, 60, 1.2, 0.4])(
    'at %s seconds says when it reads otherwise, and not before',
    seconds => {
      const wait = untilItReadsOtherwise(seconds) / 1000;
      const now = countdown(seconds, trans);
      expect(countdown(seconds - wait, trans)).not.toBe(seconds < 1 ? '' : now);
      if (wait > 0.01) {
        expect(countdown(seconds - (wait - 0.01), trans)).toBe(now);
      }
    }
  );

  it('has minutes with leading zeros only in the seconds', () => {
    expect(minutesAndSeconds(605)).toBe('10:05');
  });
});

describe('A span in a sentence', () => {
  it.each([
    [299.6, '5 minutes'],
    [60, '1 minute'],
    [58, '1 minute'],
    [50, '50 seconds'],
    [1, '1 second'],
    [0, '1 second'],
    [7200, '2 h']
  ])('of %s seconds reads %s', (seconds, text) => {
    expect(inWords(seconds, trans)).toBe(text);
  });
});

describe('A clock time', () => {
  const now = new Date(2026, 0, 15, 17, 0);

  it('has no day where it is today', () => {
    const text = clockTime(new Date(2026, 0, 15, 17, 42), now);
    expect(text).toMatch(/42/);
    expect(text).not.toMatch(/15|16/);
  });

  it('has the day where it is another', () => {
    expect(clockTime(new Date(2026, 0, 16, 9, 5), now)).toMatch(/16/);
  });
});

describe('Kernels and terminals', () => {
  it.each([
    [2, 1, '2 kernels and 1 terminal'],
    [1, 0, '1 kernel'],
    [0, 2, '2 terminals'],
    [0, 0, null]
  ])('%s and %s read %s', (kernels, terminals, text) => {
    expect(kernelsAndTerminals(kernels, terminals, trans)).toBe(text);
  });
});

describe('Minutes until a clock time', () => {
  const now = new Date(2026, 0, 15, 17, 0, 30);

  it('are those until it comes next', () => {
    expect(minutesUntil('17:30', now)).toBe(29.5);
  });

  it('reach into tomorrow where it has passed', () => {
    expect(minutesUntil('16:59', now)).toBe(24 * 60 - 1.5);
    expect(minutesUntil('17:00', now)).toBeNull();
  });

  it.each(['', 'soon', '25:00', '12:99'])('are none for %p', text => {
    expect(minutesUntil(text, now)).toBeNull();
  });
});
