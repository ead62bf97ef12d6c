import {
  InteractionListener,
  PresenceThrottle,
  REPORT_EVERY_MS
} from '../presence';
import { FakeClock } from './samples';

describe('Presence', () => {
  let clock: FakeClock;
  let reports: number;
  let visible: boolean;
  let throttle: PresenceThrottle;

  beforeEach(() => {
    jest.useFakeTimers();
    clock = new FakeClock();
    reports = 0;
    visible = true;
    throttle = new PresenceThrottle(
      clock,
      () => (reports += 1),
      () => visible
    );
  });

  afterEach(() => {
    throttle.dispose();
    jest.useRealTimers();
  });

  function pass(seconds: number): void {
    clock.pass(seconds);
    jest.advanceTimersByTime(seconds * 1000);
  }

  it('is reported at the first interaction', () => {
    throttle.interacted();
    expect(reports).toBe(1);
  });

  it('is reported at most once a minute, however much happens', () => {
    for (let second = 0; second < 180; second += 1) {
      throttle.interacted();
      pass(1);
    }
    expect(reports).toBeLessThanOrEqual(4);
    expect(reports).toBeGreaterThanOrEqual(3);
  });

  it('tells of the last interaction of a minute at its end', () => {
    throttle.interacted();
    pass(10);
    throttle.interacted();
    expect(reports).toBe(1);
    pass(51);
    expect(reports).toBe(2);
  });

  it('says nothing while nobody touches anything', () => {
    throttle.interacted();
    pass(3600);
    expect(reports).toBe(1);
  });

  it('says nothing while the page is hidden', () => {
    visible = false;
    throttle.interacted();
    pass(120);
    expect(reports).toBe(0);
  });

  it('holds back what the page would say after it was hidden', () => {
    throttle.interacted();
    pass(10);
    throttle.interacted();
    visible = false;
    pass(120);
    expect(reports).toBe(1);
    visible = true;
    throttle.interacted();
    expect(reports).toBe(2);
  });

  it('waits a whole minute after something else reported', () => {
    throttle.reported();
    throttle.interacted();
    expect(reports).toBe(0);
    pass(REPORT_EVERY_MS / 1000);
    expect(reports).toBe(1);
  });
});

describe('Interactions', () => {
  /** What a browser made is trusted; jsdom lets nobody make an event that is. */
  function trusted(type: string, members: Record<string, unknown> = {}): Event {
    return { type, isTrusted: true, ...members } as unknown as Event;
  }

  let heard: number;
  let listener: InteractionListener;
  let dispatch: (event: Event) => void;

  beforeEach(() => {
    heard = 0;
    // jsdom marks what is dispatched as untrusted: call the listeners themselves.
    const listeners: Record<string, (event: Event) => void> = {};
    const target = {
      addEventListener: (type: string, hear: (event: Event) => void) => {
        listeners[type] = hear;
      },
      removeEventListener: (type: string) => {
        delete listeners[type];
      }
    };
    listener = new InteractionListener(target as unknown as Document, () => {
      heard += 1;
    });
    dispatch = event => listeners[event.type]?.(event);
  });

  it.each(['keydown', 'pointerdown', 'wheel', 'touchstart'])(
    'are heard from %s',
    type => {
      dispatch(trusted(type));
      expect(heard).toBe(1);
    }
  );

  it('are not what a script makes up', () => {
    dispatch(new Event('keydown'));
    expect(heard).toBe(0);
  });

  it('are not a key that repeats by itself', () => {
    dispatch(trusted('keydown', { repeat: true }));
    expect(heard).toBe(0);
  });

  it('are a pointer that moves, but not a page that moves below it', () => {
    dispatch(trusted('pointermove', { screenX: 10, screenY: 10 }));
    dispatch(trusted('pointermove', { screenX: 10, screenY: 10 }));
    expect(heard).toBe(0);
    dispatch(trusted('pointermove', { screenX: 11, screenY: 10 }));
    expect(heard).toBe(1);
  });

  it('are not heard after it was let go', () => {
    listener.dispose();
    dispatch(trusted('wheel'));
    expect(heard).toBe(0);
  });
});
