"""Mutations of the settings of CTR models: what all architectures share, din, make."""

from tests.mutations.mutation import mutation

CONFIG, DIN, CTR = "recsys/models/config.py", "recsys/models/din.py", "recsys/models/ctr.py"
MULTI, MAKE, INTERACTION = "recsys/models/multimodal.py", "recsys/models/make.py", "recsys/models/interaction.py"
TAKEN = "train/ctr/pretrained_make.py"
OF_DIN, OF_CTR, OF_MULTI = "recsys/models/test_din.py", "recsys/models/test_ctr.py", "recsys/models/test_multimodal.py"
OF_MAKE, OF_ALONE, VERB = (
    "recsys/models/test_make.py",
    "recsys/models/test_make_alone.py",
    "train/commands/test_make.py",
)

MUTATIONS = [
    mutation("model.arch", CTR, "arch_class(config.arch)", 'arch_class("din")', OF_CTR),
    mutation("model.embedding_dim", "recsys/models/sparse.py", "table.embedding_dim or embedding_dim", "table.embedding_dim or 16", "train/ctr/test_build.py"),
    mutation("model.modalities", CONFIG, "self.modalities.get(name, self.multimodal)", "self.multimodal", "train/ctr/test_config.py"),
    mutation("model.multimodal.mode", CONFIG, 'self.mode.split("+")', '"simtier".split("+")', OF_CTR),
    mutation("model.multimodal.num_tiers", MULTI, "TierFeatures(table, config.num_tiers)", "TierFeatures(table, 20)", OF_MULTI, OF_CTR),
    mutation("model.multimodal.sa_ta", CONFIG, '["sa_ta"] * self.sa_ta', "[]", OF_CTR),
    mutation("model.multimodal.placement", "train/ctr/build_planner_input.py", "_placement(model.placement(name), store)", '_placement("auto", store)', "train/ctr/test_build.py"),
    mutation("model.multimodal.make.run", TAKEN, "if make.run is None:", "if True:", VERB),
    mutation("model.multimodal.make.epoch", TAKEN, 'about.best_epoch if make.epoch is None else make.epoch', 'about.best_epoch', VERB),
    mutation("model.multimodal.make.epoch", TAKEN, 'about.best_epoch if make.epoch is None', 'there[-1] if make.epoch is None', VERB),
    mutation("model.multimodal.make.frozen", MAKE, "requires_grad_(not config.frozen)", "requires_grad_(True)", OF_MAKE),
    mutation("model.multimodal.make.attention_hidden", MAKE, "MAKEAttention(table, config.attention_hidden)", "MAKEAttention(table)", OF_MAKE),
    mutation("model.multimodal.make.hidden", MAKE, "itertools.pairwise([3 * table.width, *config.hidden])",
             "itertools.pairwise([3 * table.width, *[32] * (len(config.hidden) - 1), config.hidden[-1]])", OF_MAKE),
    mutation("model.multimodal.make.modality_dropout", MAKE, "if self.training and self.modality_dropout:", "if False:", OF_MAKE),
    mutation("model.multimodal.make.modality_dropout", MAKE, "if self.training and self.modality_dropout:", "if self.modality_dropout:", OF_MAKE),
    mutation("model.multimodal.make.behaviour_dropout", "recsys/models/make_alone.py", "if not (self.training and self.behaviour_dropout):", "if True:", OF_ALONE),
    mutation("model.attention.hidden", DIN, "hidden, softmax = config.attention.hidden,", "hidden, softmax = [36],", OF_DIN),
    mutation("model.attention.softmax", DIN, "config.attention.hidden, config.attention.softmax", "config.attention.hidden, False", OF_DIN),
    mutation("model.interaction", DIN, 'config.cross_layers if config.interaction == "dcn" else 0', "0", OF_DIN),
    mutation("model.interaction", DIN, 'config.cross_layers if config.interaction == "dcn" else 0', "config.cross_layers", OF_DIN),
    mutation("model.cross_layers", DIN, 'config.cross_layers if config.interaction == "dcn"', '2 if config.interaction == "dcn"', OF_DIN),
    mutation("model.cross_rank", DIN, "crossed, config.cross_rank", "crossed, 64", OF_DIN),
    mutation("model.over_arch", DIN, "self.interaction.width, config.over_arch", "self.interaction.width, [256, 128, 64]", OF_DIN),
    mutation("model.dropout", DIN, "config.over_arch, config.dropout", "config.over_arch", OF_DIN),
    mutation("model.dropout", INTERACTION, "nn.Dropout(dropout)", "nn.Dropout(0.5)", OF_DIN),
    mutation("model.modality", "recsys/models/make_alone.py", "config.modality, schema.modalities[config.modality].history",
             "min(schema.modalities), schema.modalities[config.modality].history", OF_ALONE),
]  # fmt: skip
