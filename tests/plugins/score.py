"""Label-free score: how close captions are to their nearest image."""

from gckd.extend import UnlabelledEmbeddings, register_score


@register_score("nearest_cosine", "mean cosine of the captions and their nearest images")
def nearest_cosine(embeddings: UnlabelledEmbeddings) -> float:
    return float((embeddings.texts @ embeddings.images.T).amax(1).mean())
