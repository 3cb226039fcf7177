"""Mutations of the settings of contrastive learning: pairs, encoders, losses, views, optimizer."""

from tests.mutations.mutation import Mutation, mutation

TASK, BUILD, STEP = "train/scl/task.py", "train/scl/build.py", "train/scl/train_step.py"
READER, AUGMENT, ENCODER = "train/scl/pair_reader.py", "recsys/scl/augment.py", "recsys/scl/encoders/build.py"
NET, WORDS = "recsys/scl/encoders/resnet.py", "recsys/scl/encoders/transformer.py"
OF_TASK, OF_BUILD, VIEWS = "train/scl/test_task.py", "train/scl/test_build.py", "recsys/scl/test_augment.py"
OF_ENCODER, NAMED = "recsys/scl/encoders/test_build.py", "recsys/scl/encoders"


def scl(setting: str, file: str, text: str, becomes: str, *tests: str) -> Mutation:
    return mutation(f"scl: {setting}", file, text, becomes, *tests)


MUTATIONS = [
    scl("data.path", TASK, "self.items = ItemContents(data.path,", 'self.items = ItemContents("data",', OF_TASK),
    scl("data.train", TASK, "splits = (data.train, data.validation", 'splits = ("train", data.validation', OF_TASK),
    scl("data.validation", TASK, "(data.train, data.validation, data.test)", '(data.train, "validation", data.test)', OF_TASK),
    scl("data.test", TASK, "(data.train, data.validation, data.test)", '(data.train, data.validation, "test")', OF_TASK),
    scl("data.batch_size", TASK, "batch_size=data.batch_size", "batch_size=64", OF_TASK),
    scl("data.eval_batch_size", TASK, "ranks, data.eval_batch_size, data.workers)", "ranks, 256, data.workers)", "train/scl/test_evaluation.py"),
    scl("data.candidates", "train/scl/evaluation.py", 'if candidates == "positives" else', "if True else", "train/scl/test_evaluation.py"),
    scl("data.candidates", "train/scl/evaluation.py", 'if candidates == "positives" else', "if False else", "train/scl/test_evaluation.py"),
    scl("data.shuffle_rows", TASK, "shuffle_rows=data.shuffle_rows", "shuffle_rows=65_536", OF_TASK),
    scl("data.workers", TASK, "workers=data.workers, prefetch", "workers=1, prefetch", OF_TASK),
    scl("data.workers", TASK, "data.eval_batch_size, data.workers)", "data.eval_batch_size, 1)", OF_TASK),
    scl("data.prefetch", TASK, "prefetch=data.prefetch", "prefetch=4", OF_TASK),
    scl("data.cache_mib", TASK, "(data.cache_mib << 20)", "(0 << 20)", OF_TASK),
    scl("data.cache_mib", TASK, "(data.cache_mib << 20)", "(256 << 20)", OF_TASK),
    scl("train.seed", TASK, "seed=config.train.seed", "seed=0", OF_TASK),
    scl("train.seed", BUILD, "torch.manual_seed(config.train.seed)", "torch.manual_seed(0)", OF_TASK),
    scl("train.clip_grad_norm", STEP, "if self._clip is not None:", "if False:", OF_TASK),
    scl("train.clip_grad_norm", TASK, "bfloat16, config.train.clip_grad_norm)", "bfloat16, 10.0)", OF_TASK),
    scl("train.autocast", STEP, "enabled=self._autocast):\n            queries", "enabled=False):\n            queries", OF_TASK),
    scl("train.autocast", TASK, "autocast_dtype(config.train.autocast, ranks.device) is not None", "True", OF_TASK),
    scl("model.width", ENCODER, '"kind": kind, "width": config.width, **_of(image', '"kind": kind, "width": 128, **_of(image', OF_ENCODER),
    scl("model.width", ENCODER, '"kind": kind, "width": config.width, **settings', '"kind": kind, "width": 128, **settings', OF_ENCODER),
    scl("model.image.name", ENCODER, 'if image.name == "resnet":', "if True:", f"{NAMED}/test_timm_models.py"),
    scl("model.image.pretrained", "recsys/scl/encoders/timm_models.py", "config.size, config.pretrained)", "config.size, False)", OF_ENCODER),
    scl("model.image.pretrained", "recsys/scl/encoders/timm_models.py", "config.size, config.pretrained)", "config.size, True)", OF_ENCODER),
    scl("model.image.size", ENCODER, 'PictureDecoder(about["size"])', "PictureDecoder(64)", OF_ENCODER),
    scl("model.image.channels", NET, "for stage, outer in enumerate(channels):", "for stage, outer in enumerate([channels[0], channels[-1]]):", OF_ENCODER),
    scl("model.image.blocks", NET, "for block in range(blocks):", "for block in range(1):", OF_ENCODER),
    scl("model.text.name", ENCODER, 'if text.name == "transformer":', "if True:", f"{NAMED}/test_transformers_models.py"),
    scl("model.text.pretrained", "recsys/scl/encoders/transformers_models.py", "if config.pretrained:", "if False:", f"{NAMED}/test_transformers_models.py"),
    scl("model.text.pretrained", "recsys/scl/encoders/transformers_models.py", "if config.pretrained:", "if True:", f"{NAMED}/test_transformers_models.py"),
    scl("model.text.max_length", ENCODER, 'WordDecoder(tokenizer, about["max_length"])', "WordDecoder(tokenizer, 64)", OF_ENCODER),
    scl("model.text.vocabulary", BUILD, "config.model.text.vocabulary", "8000", OF_BUILD),
    scl("model.text.hidden, scl: model.text.layers, scl: model.text.heads, scl: model.text.dropout", ENCODER,
        '"max_length hidden layers heads dropout"', '"max_length hidden layers heads"', OF_ENCODER),
    scl("model.text.hidden", ENCODER, "tokenizer.get_vocab_size(), **sizes)", "tokenizer.get_vocab_size(), **{**sizes, 'hidden': 16})", OF_ENCODER),
    scl("model.text.layers", WORDS, "nn.TransformerEncoder(layer, layers,", "nn.TransformerEncoder(layer, 2,", OF_ENCODER),
    scl("model.text.heads", WORDS, "hidden, heads, 4 * hidden", "hidden, 2, 4 * hidden", OF_ENCODER),
    scl("model.text.dropout", WORDS, "4 * hidden, dropout, act", "4 * hidden, 0.1, act", OF_ENCODER),
    scl("model.temperature", BUILD, "item, config.model.temperature", "item, 0.07", OF_TASK),
    scl("model.bank.rows", BUILD, "MemoryBank(bank.rows, config", "MemoryBank(4096, config", OF_BUILD),
    scl("model.bank.rows", BUILD, "bank.momentum) if bank.rows else None", "bank.momentum)", OF_BUILD),
    scl("model.bank.momentum", BUILD, "MomentumEncoder(towers, bank.momentum)", "MomentumEncoder(towers, 0.99)", OF_BUILD),
    scl("model.bank.wait_epochs", STEP, "if epoch >= self._model.bank.wait_epochs else None", "", "train/end_to_end/scl/test_training.py::test_the_bank_waits"),
    scl("model.bank.distinct", BUILD, "group, bank.distinct)", "group)", OF_BUILD),
    scl("model.bank.distinct", "recsys/scl/memory_bank.py", "if self.distinct else torch.ones_like", "if True else torch.ones_like", OF_BUILD),
    scl("model.triplet.weight", STEP, "self._model.triplet.weight * hard", "0.5 * hard", OF_TASK),
    scl("model.triplet.weight", TASK, "with_negatives=config.model.triplet.weight > 0", "with_negatives=True", OF_TASK),
    scl("model.triplet.margin", STEP, "self._model.triplet.margin", "0.2", OF_TASK),
    scl("augment.crop", AUGMENT, "config.crop + (1 - config.crop) * draws[:, 0]", "0.5 + 0.5 * draws[:, 0]", VIEWS),
    scl("augment.stretch", AUGMENT, "math.log(config.stretch)", "math.log(1.33)", VIEWS),
    scl("augment.rotate", AUGMENT, "math.radians(config.rotate)", "math.radians(15.0)", VIEWS),
    scl("augment.flip", AUGMENT, "draws[:, 4] < config.flip", "draws[:, 4] < 0.5", VIEWS),
    scl("augment.light", AUGMENT, "(config.light, config.light, config.colour)", "(0.3, config.light, config.colour)", VIEWS),
    scl("augment.light", AUGMENT, "(config.light, config.light, config.colour)", "(config.light, 0.3, config.colour)", VIEWS),
    scl("augment.colour", AUGMENT, "(config.light, config.light, config.colour)", "(config.light, config.light, 0.3)", VIEWS),
    scl("augment.words", AUGMENT, "of_token < config.words", "of_token < 0.1", VIEWS),
    scl("augment.light", TASK, "items, config.augment,", "items, type(config.augment)(),", OF_TASK),
    scl("optimizer.lr", BUILD, "return config.lr * 0.5 *", "return 1e-3 * 0.5 *", OF_BUILD),
    scl("optimizer.lr", BUILD, "return config.lr * (step + 1)", "return 1e-3 * (step + 1)", OF_BUILD),
    scl("optimizer.lr", STEP, 'group["lr"] = lr', "pass", OF_TASK),
    scl("optimizer.weight_decay", BUILD, "weight_decay=config.weight_decay", "weight_decay=0.05", OF_BUILD),
    scl("optimizer.weight_decay", BUILD, '{"params": others, "weight_decay": 0.0}', '{"params": others}', OF_BUILD),
    scl("optimizer.warmup_steps", BUILD, "if step < config.warmup_steps:", "if False:", OF_BUILD),
    scl("optimizer.warmup_steps", BUILD, "(step + 1) / (config.warmup_steps + 1)", "(step + 1) / config.warmup_steps", OF_BUILD),
]  # fmt: skip
