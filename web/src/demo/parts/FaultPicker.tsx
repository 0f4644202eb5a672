/** The choice of a fault for the emulator to simulate. */

import { FAULTS } from "../submission";

export function FaultPicker() {
  return (
    <details className="faults">
      <summary>Try a fault</summary>
      <label htmlFor="fault">What goes wrong</label>
      <select id="fault" name="fault" data-testid="fault">
        {FAULTS.map(([name, words]) => (
          <option key={name} value={name}>
            {words}
          </option>
        ))}
      </select>
      <p className="hint">
        For the emulator that <code>hookcast dev</code> starts. The real fal.ai knows no faults.
      </p>
    </details>
  );
}
