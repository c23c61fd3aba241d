/**
 * The rules that a keyring, a plan or a verifier can show to be broken. The others are about what
 * is written where: I4, I12, I13, I14 and I19 are held by tests of the controller and the issuer,
 * which the table of docs/protocol.md names, rule by rule. `due` is no rule of the design: a set that
 * does not rotate by itself though it is due says why.
 */
export const HELD_RULES = [
  ...['I1', 'I2', 'I3', 'I5', 'I6', 'I7', 'I8', 'I9', 'I10', 'I11'],
  ...['I15', 'I16', 'I17', 'I18', 'I20', 'I21', 'I22', 'due'],
];
