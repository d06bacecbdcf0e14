<?xml version="1.0" encoding="UTF-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html" encoding="UTF-8" indent="no"/>
  <xsl:strip-space elements="*"/>
  <xsl:template match="/"><xsl:apply-templates select="*"/></xsl:template>
  <xsl:template match="rss"><xsl:apply-templates select="channel"/></xsl:template>
  <xsl:template name="page">
    <xsl:param name="title"/>
    <xsl:param name="content"/>
    <html lang="en">
      <head><title><xsl:value-of select="$title"/></title></head>
      <body><h1><xsl:value-of select="$title"/></h1><main><xsl:copy-of select="$content"/></main></body>
    </html>
  </xsl:template>
</xsl:stylesheet>
