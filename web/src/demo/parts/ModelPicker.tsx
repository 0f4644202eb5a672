/** The choice of a model. */

import { MODELS } from "../submission";

export function ModelPicker() {
  return (
    <fieldset className="models">
      <legend>Model</legend>
      {MODELS.map(({ endpointId, kind, name }) => (
        <label key={endpointId} className="model">
          <input
            type="radio"
            name="model"
            value={endpointId}
            defaultChecked={endpointId === MODELS[0].endpointId}
            data-testid={`model-${kind.toLowerCase()}`}
          />
          <span className="model-text">
            <b>{kind}</b>
            <span className="model-name">{name}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
