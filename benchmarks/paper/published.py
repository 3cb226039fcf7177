"""The paper's own figures: Sheng et al., CIKM 2024 (arXiv 2407.19467). Gains are over its ID model, in percent."""

# Acc@1, Acc@5 (table 2)
ACCURACY = {
    "scl": (0.7474, 0.8850),
    "scl without triplet": (0.6957, 0.8604),
    "scl without triplet and MoCo": (0.5760, 0.7590),
}
# GAUC, AUC (table 3)
GAINS = {
    "vector": (0.29, 0.18),
    "simscore": (0.77, 0.40),
    "simtier": (0.96, 0.59),
    "make": (0.93, 0.51),
    "simtier+make": (1.25, 0.75),
}
# GAUC after epochs 1, 2 and 10; after 1 and 10 (figure 3, as its text quotes it)
ID_EPOCHS = {1: 0.647, 2: 0.619, 10: 0.556}
MULTIMODAL_EPOCHS = {1: 0.590, 10: 0.607}
# Acc@1 of the vectors -> GAUC gain (figure 6a, read off the plot)
QUALITY = {0.53: 0.41, 0.65: 0.57, 0.70: 0.605, 0.74: 0.805, 0.75: 0.835}
# AUC gain by item frequency, rarest first (figure 6b)
FREQUENCY = (1.43, 1.10, 0.96, 0.83, 0.71, 0.56, 0.44, 0.32)
# epochs that MAKE is trained alone -> GAUC gain (figure 6c)
PRETRAINING = {0: 0.30, 2: 0.77, 4: 0.79, 6: 0.89, 8: 0.87, 10: 0.93}
