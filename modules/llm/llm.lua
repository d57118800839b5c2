-- The default policy: backends in the order of the configuration (or by weight), of each the first model that can do
-- what is asked, until one answers (spec modules/02 §3). Retries, limits and budgets are below exec_prompt_in_provider.

local lib = require("lib-genvm")
local llm = require("lib-llm")

-- The prompt as an error shows it: pictures by their size.
local function shown(prompt)
  local copy = {}
  for key, value in pairs(prompt) do copy[key] = value end
  copy.images = {}
  for i, image in ipairs(prompt.images or {}) do copy.images[i] = #image .. " bytes" end
  return copy
end

-- What a node shows of the first backend's failure.
local function summary(provider, model, err)
  return {
    provider = provider,
    model = model,
    cause = err.causes[1],
    status = err.ctx.status,
    detail = err.ctx.rust_error or err.ctx.problem,
  }
end

local function run(ctx, mapped)
  local prompt, format = mapped.prompt, mapped.format
  local asked = {temperature = prompt.temperature, max_tokens = prompt.max_tokens}
  local view = llm.select_providers_for(prompt, format)
  local names, first = {}, {}
  for name, model in llm.in_order(view) do
    names[#names + 1] = name
    first[name] = model
  end

  if llm.rs.weighted then names = llm.rs.order_providers(ctx, names) end

  local consumed, primary = 0, nil
  for i, name in ipairs(names) do
    local model = first[name]
    prompt.use_max_completion_tokens = model.value.use_max_completion_tokens
    local meta = type(model.value.meta) == "table" and model.value.meta or {}
    prompt.temperature = meta.temperature or asked.temperature
    prompt.max_tokens = meta.max_tokens or asked.max_tokens
    local ok, result = pcall(llm.rs.exec_prompt_in_provider, ctx, {
      provider = name,
      model = model.key,
      prompt = prompt,
      format = format,
    })
    if ok then
      result.consumed_gen = result.consumed_gen + consumed
      return result
    end
    local err = lib.rs.as_user_error(result)
    if err == nil then error(result, 0) end
    consumed = consumed + (err.ctx.consumed_gen or 0)
    local failure = summary(name, model.key, err)
    primary = primary or failure
    lib.log {
      level = llm.overloaded_statuses[err.ctx.status] and "warning" or "error",
      message = names[i + 1] and "provider failed, going on to the next" or "provider failed, there is no other",
      error = failure,
    }
  end

  lib.rs.user_error {
    causes = {"NO_PROVIDER_FOR_PROMPT"},
    fatal = true,
    ctx = {prompt = shown(prompt), search_in = view, primary_error = primary},
  }
end

function ExecPrompt(ctx, args, remaining_gen)
  return run(ctx, llm.exec_prompt_transform(args))
end

function ExecPromptTemplate(ctx, args, remaining_gen)
  return run(ctx, llm.exec_prompt_template_transform(args))
end
