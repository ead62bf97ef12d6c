/** Numbers and instants in words: relative while far, minutes and seconds when near. */

import { TranslationBundle } from '@jupyterlab/translation';

/** Below so many seconds a countdown shows seconds. */
export const NEAR_SECONDS = 300;

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/** Return a span in words, rounded down: `50 s`, `42 min`, `1 h 58 min`, `2 d 3 h`. */
export function span(seconds: number, trans: TranslationBundle): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) {
    return trans.__('%1 s', whole);
  }
  if (whole < HOUR) {
    return trans.__('%1 min', Math.floor(whole / MINUTE));
  }
  if (whole < DAY) {
    const minutes = Math.floor((whole % HOUR) / MINUTE);
    const hours = Math.floor(whole / HOUR);
    return minutes === 0
      ? trans.__('%1 h', hours)
      : trans.__('%1 h %2 min', hours, minutes);
  }
  const hours = Math.floor((whole % DAY) / HOUR);
  const days = Math.floor(whole / DAY);
  return hours === 0
    ? trans.__('%1 d', days)
    : trans.__('%1 d %2 h', days, hours);
}

/** Return minutes and seconds, rounded down: `4:12`. */
export function minutesAndSeconds(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const rest = String(whole % MINUTE).padStart(2, '0');
  return `${Math.floor(whole / MINUTE)}:${rest}`;
}

/** Return how long is left: `42 min` while far, `4:12` when near. */
export function countdown(seconds: number, trans: TranslationBundle): string {
  return seconds < NEAR_SECONDS
    ? minutesAndSeconds(seconds)
    : span(seconds, trans);
}

/** Return milliseconds until `countdown` reads otherwise. */
export function untilItReadsOtherwise(seconds: number): number {
  const step = seconds < NEAR_SECONDS + 1 ? 1 : MINUTE;
  const rest = seconds % step;
  // A moment more than the rest, so that rounding down has surely gone one further.
  return Math.ceil(rest * 1000) + 5;
}

/** Return a span for a sentence, to the nearest unit: `5 minutes`, `50 seconds`. */
export function inWords(seconds: number, trans: TranslationBundle): string {
  if (seconds < 55) {
    const whole = Math.max(1, Math.round(seconds));
    return trans._n('%1 second', '%1 seconds', whole);
  }
  if (seconds < 100 * MINUTE) {
    const minutes = Math.max(1, Math.round(seconds / MINUTE));
    return trans._n('%1 minute', '%1 minutes', minutes);
  }
  return span(seconds, trans);
}

/** Return a clock time in the reader's zone; with the day where that is not today. */
export function clockTime(moment: Date, now: Date = new Date()): string {
  const time: Intl.DateTimeFormatOptions = {
    hour: '2-digit',
    minute: '2-digit'
  };
  if (moment.toDateString() === now.toDateString()) {
    return moment.toLocaleTimeString([], time);
  }
  return moment.toLocaleString([], {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    ...time
  });
}

/** Return an amount of money as the price has it: no currency is known, the dollar is assumed. */
export function money(amount: number): string {
  return `$${amount.toFixed(2)}`;
}

/** Return "2 kernels and 1 terminal", or one of them, or null where both are none. */
export function kernelsAndTerminals(
  kernels: number,
  terminals: number,
  trans: TranslationBundle
): string | null {
  const some = [
    kernels > 0 ? trans._n('%1 kernel', '%1 kernels', kernels) : null,
    terminals > 0 ? trans._n('%1 terminal', '%1 terminals', terminals) : null
  ].filter(text => text !== null);
  if (some.length === 2) {
    return trans.__('%1 and %2', some[0], some[1]);
  }
  return some[0] ?? null;
}
