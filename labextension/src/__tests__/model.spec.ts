import { Model, later } from '../model';
import {
  FakeClock,
  host,
  keepAlive,
  kernel,
  status,
  statusEvent
} from './samples';

describe('The model', () => {
  let clock: FakeClock;
  let model: Model;

  beforeEach(() => {
    clock = new FakeClock();
    model = new Model(clock);
    model.setStatus(status(), clock.monotonic());
  });

  it('counts down by itself from the seconds that the server gave', () => {
    expect(model.stopsIn).toBe(2520);
    clock.pass(100);
    expect(model.stopsIn).toBe(2420);
  });

  it('is right at once after ten minutes in which no timer ran', () => {
    clock.pass(600);
    expect(model.stopsIn).toBe(1920);
  });

  it('does not heed a jump of the wall clock', () => {
    clock.now += 8 * 3600 * 1000;
    expect(model.stopsIn).toBe(2520);
  });

  it('never counts below zero', () => {
    clock.pass(5000);
    expect(model.stopsIn).toBe(0);
  });

  it('counts from when the status was true, not from when it was drawn', () => {
    model.setStatus(status(), clock.monotonic() - 2000);
    expect(model.stopsIn).toBe(2518);
  });

  it('tells the moment of a deadline on the wall clock', () => {
    clock.pass(60);
    const expected = new Date(2026, 0, 15, 17, 42, 0);
    expect(model.moment(2520)).toEqual(expected);
  });

  it('takes a moved deadline from an event without asking for more', () => {
    clock.pass(60);
    const event = statusEvent();
    event.host.stops_in_seconds = 3600;
    expect(model.applyEvent(event)).toBe(false);
    expect(model.stopsIn).toBe(3600);
  });

  it('goes on counting what an event does not tell', () => {
    const kept = status({
      kernels: [kernel()],
      keep_alives: [keepAlive()],
      next: null
    });
    model.setStatus(kept, clock.monotonic());
    clock.pass(20);
    model.applyEvent(
      statusEvent({
        kernels: { active: 0, idle: 1, unknown: 0 },
        keep_alives: 1
      })
    );
    clock.pass(10);
    const inStatus = model.status?.kernels[0].culled_in_seconds ?? 0;
    expect(model.left(inStatus)).toBe(2490);
    const ends = model.status?.keep_alives[0].ends_in_seconds ?? 0;
    expect(model.left(ends)).toBe(1770);
  });

  it.each([
    ['the verdict', { host: { ...statusEvent().host, verdict: 'active' } }],
    ['a new kernel', { kernels: { active: 1, idle: 0, unknown: 0 } }],
    ['a keep-alive', { keep_alives: 1 }],
    ['the health', { health: 'degraded' }],
    [
      'a warning',
      {
        warning: {
          since: '2026-01-15T17:00:00+00:00',
          ends_in_seconds: 300,
          stops_at: '2026-01-15T17:05:00+00:00'
        }
      }
    ]
  ])('asks for the whole status when an event tells of %s', (_, changes) => {
    const event = statusEvent(changes as Partial<typeof statusEvent>);
    expect(model.applyEvent(event)).toBe(true);
  });

  it('asks for the whole status when it has none', () => {
    expect(new Model(clock).applyEvent(statusEvent())).toBe(true);
  });

  it('is warned only while the server answers and no stop is under way', () => {
    const warning = { since: '', ends_in_seconds: 60, stops_at: '' };
    model.setStatus(status({ host: host({ warning }) }), clock.monotonic());
    expect(model.warned).toBe(true);
    model.setConnection('unreachable');
    expect(model.warned).toBe(false);
    model.setStatus(status({ host: host({ warning }) }), clock.monotonic());
    model.setStop({
      stage: 'saving',
      presumed: false,
      at: 0,
      idleSeconds: 1,
      kernels: 0,
      terminals: 0,
      saved: 0,
      failed: []
    });
    expect(model.warned).toBe(false);
  });

  it('allows nothing while the server does not answer', () => {
    expect(model.mayWrite).toBe(true);
    expect(model.mayStop).toBe(true);
    model.setConnection('unreachable');
    expect(model.mayWrite).toBe(false);
    expect(model.mayStop).toBe(false);
  });

  it('offers no stop where nothing is stopped', () => {
    const nothing = status({ host: host({ stop_action: 'none' }) });
    model.setStatus(nothing, clock.monotonic());
    expect(model.mayStop).toBe(false);
  });

  it('tells of each change, and not of the passing of time', () => {
    let changes = 0;
    model.changed.connect(() => (changes += 1));
    clock.pass(10);
    expect(changes).toBe(0);
    model.setConnection('ok');
    expect(changes).toBe(0);
    model.setConnection('absent');
    expect(changes).toBe(1);
  });
});

describe('A later status', () => {
  it('has less left and older evidence, and never less than nothing', () => {
    const moved = later(status({ kernels: [kernel()] }), 3000);
    expect(moved.host.stops_in_seconds).toBe(0);
    expect(moved.host.evidence.age_seconds).toBe(4080);
    expect(moved.kernels[0].culled_in_seconds).toBe(0);
  });

  it('keeps what never comes', () => {
    const never = status({ host: host({ stops_in_seconds: null }) });
    expect(later(never, 10).host.stops_in_seconds).toBeNull();
  });
});
