// Questions of which at most one is in flight; what changes meanwhile is merged, so the newest change wins.

export class NewestWins {
  // send: called with the question's number and the changes.
  constructor(send) {
    this.send = send;
    this.waiting = null;
    this.inFlight = null;
    this.count = 0;
  }

  ask(change) {
    this.waiting = { ...this.waiting, ...change };
    this.next();
  }

  next() {
    if (this.inFlight !== null || !this.waiting) return;
    const change = this.waiting;
    this.inFlight = ++this.count;
    this.waiting = null;
    this.send(this.inFlight, change);
  }

  // Whether `number` was in flight, which it then is no longer.
  answered(number) {
    if (this.inFlight === null || number !== this.inFlight) return false;
    this.inFlight = null;
    return true;
  }
}
