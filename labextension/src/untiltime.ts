/** Turns a clock time that a person picked into minutes from now. */

/** Return minutes until the next time that the clock shows `HH:MM`; null: not a time. */
export function minutesUntil(time: string, now: Date): number | null {
  const match = /^(\d{1,2}):(\d{2})(?::\d{2})?$/.exec(time);
  if (match === null) {
    return null;
  }
  const [hours, minutes] = [Number(match[1]), Number(match[2])];
  if (hours > 23 || minutes > 59) {
    return null;
  }
  const then = new Date(now);
  then.setHours(hours, minutes, 0, 0);
  if (then <= now) {
    if (now.getTime() - then.getTime() < 60_000) {
      return null; // this very minute: tomorrow's is not meant
    }
    then.setDate(then.getDate() + 1);
  }
  return (then.getTime() - now.getTime()) / 60_000;
}
